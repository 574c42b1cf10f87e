"""The layers, one in each file.

dense          FullyConnected
softmax        Softmax
prelu          PReLU
maxout         Maxout
embedding      Embedding: columns of category numbers
noise          Dropout, GaussianNoise
normalization  BatchNorm, LayerNorm
residual       Residual: a block of layers

base           LayerBase: what the author of a layer writes
weighted       the hyper-parameters of layers with weights and biases
stateful       a layer as an object that keeps parameters, inputs and gradients
context        what layers are given and what they give back
"""

from xdfn.nn.layers import base, context, dense, embedding, maxout, noise, normalization, prelu, residual, softmax
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

__all__ = [
    *base.__all__,
    *context.__all__,
    *dense.__all__,
    *embedding.__all__,
    *maxout.__all__,
    *noise.__all__,
    *normalization.__all__,
    *prelu.__all__,
    *residual.__all__,
    *softmax.__all__,
]
