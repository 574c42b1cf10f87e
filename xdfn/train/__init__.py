"""Training, from the arguments of `fit` to the last step, in the order in which a fit passes through it.

options      the arguments, checked
checks       the arrays, checked
plan         rows, step and state: all that the loop needs
session      one fit as its callbacks see it; callbacks/ are told through it
loop         epochs and batches: begin here
engine       how a stretch of equal batches is executed
step         one step; update: gradients to parameters; scalars: its numbers; segments: parameters in vectors
state        all that a step changes
data         rows, batches, weights of rows
evaluation   what is measured on other rows; metrics/
memory       what a model keeps between fits
"""

from xdfn.train.callbacks import *
from xdfn.train.callbacks import __all__ as _callbacks
from xdfn.train.data import minibatch
from xdfn.train.metrics import *
from xdfn.train.metrics import __all__ as _metrics

__all__ = [*_callbacks, *_metrics, "minibatch"]
