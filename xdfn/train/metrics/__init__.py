"""What is measured beside the loss.

base             what a metric is, and the registry of the metrics
classification   Accuracy, TopKAccuracy, BalancedAccuracy, Precision, Recall, F1
regression       MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, R2
function         a user's function as a metric
resolve          metrics by name, and the direction in which they improve
"""

from xdfn.train.metrics import base, classification, function, regression
from xdfn.train.metrics.base import *
from xdfn.train.metrics.base import metrics as metrics
from xdfn.train.metrics.classification import *
from xdfn.train.metrics.function import *
from xdfn.train.metrics.regression import *
from xdfn.train.metrics.resolve import resolve_metrics as resolve_metrics
from xdfn.train.metrics.resolve import sign as sign

__all__ = [*base.__all__, *classification.__all__, *function.__all__, *regression.__all__]
