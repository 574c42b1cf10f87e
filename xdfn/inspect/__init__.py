"""Looking inside a model: what it is, whether its derivatives are right, which learning rate fits it.

summary     a model as a line, a dictionary, a table
gradients   derivatives against difference quotients
lr_finder   a sweep of learning rates
"""

from xdfn.inspect.gradients import check_gradients
from xdfn.inspect.lr_finder import find_learning_rate

__all__ = ["check_gradients", "find_learning_rate"]
