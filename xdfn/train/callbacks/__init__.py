"""What is told of a fit while it goes on, and may steer it.

base         what a callback is, what it may use of the model, and the registry of the callbacks
hooks        a method that is spelt wrong
monitor      the best value so far, for the two callbacks that look for it
paths        the path of a file that a callback writes
stopping     EarlyStopping
checkpoint   Checkpoint
logs         CSVLog, LearningRateLog, ProgressBar, and the lines that `fit` prints
trackers     TensorBoardLog, MLflowLog
"""

from xdfn.train.callbacks import base, checkpoint, logs, stopping, trackers
from xdfn.train.callbacks.base import *
from xdfn.train.callbacks.checkpoint import *
from xdfn.train.callbacks.logs import *
from xdfn.train.callbacks.stopping import *
from xdfn.train.callbacks.trackers import *

__all__ = [*base.__all__, *checkpoint.__all__, *logs.__all__, *stopping.__all__, *trackers.__all__]
