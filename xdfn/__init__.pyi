# For type checkers, which cannot follow how `__init__.py` gathers the names. A star in a stub exports what it brings.
# tests/contracts/test_imports.py compares it with what the package has.
from xdfn import distributed as distributed
from xdfn.core.registry import register as register
from xdfn.datasets import *
from xdfn.ensemble import *
from xdfn.inspect.gradients import *
from xdfn.lr_finder import *
from xdfn.model import *
from xdfn.nn.activations import *
from xdfn.nn.initializers import *
from xdfn.nn.layers.base import *
from xdfn.nn.layers.context import *
from xdfn.nn.layers.dense import *
from xdfn.nn.layers.embedding import *
from xdfn.nn.layers.maxout import *
from xdfn.nn.layers.noise import *
from xdfn.nn.layers.normalization import *
from xdfn.nn.layers.prelu import *
from xdfn.nn.layers.residual import *
from xdfn.nn.layers.softmax import *
from xdfn.nn.losses.base import *
from xdfn.nn.losses.classification import *
from xdfn.nn.losses.regression import *
from xdfn.nn.regularizers import *
from xdfn.notebook import *
from xdfn.optim.adam import *
from xdfn.optim.adaptive import *
from xdfn.optim.base import *
from xdfn.optim.plateau import *
from xdfn.optim.schedules import *
from xdfn.optim.sgd import *
from xdfn.train.callbacks.base import *
from xdfn.train.callbacks.checkpoint import *
from xdfn.train.callbacks.logs import *
from xdfn.train.callbacks.stopping import *
from xdfn.train.callbacks.trackers import *
from xdfn.train.data import *
from xdfn.train.metrics.base import *
from xdfn.train.metrics.classification import *
from xdfn.train.metrics.function import *
from xdfn.train.metrics.regression import *

__version__: str
