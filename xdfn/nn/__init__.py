"""What a network is made of: layers in a row, and a loss at the end.

activations   g(z), its derivative, and how a gradient passes through it
initializers  the random weights that a network starts from
regularizers  penalties on the weights, and constraints
layers        forward and backward, one layer in each file
losses        how wrong a prediction is, and the gradient at the scores
targets       what a loss takes as its targets
network       layers and a loss, as one function
"""

from xdfn.nn import activations, initializers, layers, losses, regularizers
from xdfn.nn.activations import *
from xdfn.nn.initializers import *
from xdfn.nn.layers import *
from xdfn.nn.losses import *
from xdfn.nn.regularizers import *

__all__ = [
    *activations.__all__,
    *initializers.__all__,
    *layers.__all__,
    *losses.__all__,
    *regularizers.__all__,
]
