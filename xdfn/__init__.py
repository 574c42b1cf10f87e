"""xdfn: one deep feedforward network, any array library.

core       what all parts have in common: fields, strings, registries
backend    the door to the array libraries
optim      optimizers and schedules
nn         activations, initialisers, losses, regularisers, layers; the network
notebook   the teaching notebook's style
train      from `fit` to the step: begin with train/loop.py
model      `DFN`; inference, custom_loop: its other halves; checkpoint: its files
export     files and objects of other tools; it is imported by itself
distributed  what joins several processes that train one network
dask       rows that lie on a Dask cluster; imported by itself
inspect    summary, gradient check
ensemble   many networks trained at once; lr_finder: a search of a learning rate
plotting   pictures; it needs matplotlib and is imported by itself
"""

from xdfn import distributed as distributed
from xdfn import inspect, nn, notebook, optim, train
from xdfn.core import register
from xdfn.datasets import load_data, load_mnist
from xdfn.ensemble import Ensemble
from xdfn.inspect import *
from xdfn.lr_finder import find_learning_rate
from xdfn.model import DFN
from xdfn.nn import *
from xdfn.notebook import *
from xdfn.optim import *
from xdfn.train import *

__version__ = "0.2.0"

__all__ = [
    "DFN",
    "Ensemble",
    *inspect.__all__,
    *nn.__all__,
    *notebook.__all__,
    *optim.__all__,
    *train.__all__,
    "find_learning_rate",
    "load_data",
    "load_mnist",
    "register",
]
