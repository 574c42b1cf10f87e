"""The common ground of all parts of a network: fields that are checked, strings that name it, trees of its arrays.

part       fields, equality and the string of a part
registry   parts by name: "sgd(lr=0.01)" is SGD(lr=0.01)
keywords   arguments under the names of other libraries
fields     attributes that are checked when they are assigned
tree       walks over nested tuples, lists and dicts of arrays
"""

from xdfn.core.registry import register

__all__ = ["register"]
