"""Looking inside a model: what it is, and whether its derivatives are right.

summary     a model as a line, a dictionary, a table
gradients   derivatives against difference quotients
"""

from xdfn.inspect.gradients import check_gradients

__all__ = ["check_gradients"]
