"""The losses: how wrong a prediction is, and the gradient at the scores.

base             ObjectiveBase: what the author of a loss writes; the registry of the losses
regression       SquaredError, AbsoluteError, Huber, Poisson, Quantile, Gaussian
classification   CrossEntropy, BinaryCrossEntropy
"""

from xdfn.nn.losses import base, classification, regression
from xdfn.nn.losses.base import *
from xdfn.nn.losses.base import losses as losses
from xdfn.nn.losses.classification import *
from xdfn.nn.losses.regression import *

__all__ = [*base.__all__, *classification.__all__, *regression.__all__]
