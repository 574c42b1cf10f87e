"""xdfn: one deep feedforward network, any array library."""

from xdfn._spec import register
from xdfn.activations import (
    ELU,
    SELU,
    ActivationBase,
    ActivationInitializer,
    Affine,
    Exponential,
    HardSigmoid,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SoftPlus,
    Tanh,
    sigmoid,
    softmax,
)
from xdfn.data import minibatch
from xdfn.datasets import load_data, load_mnist
from xdfn.initializers import (
    InitializerBase,
    WeightInitializer,
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    random_normal,
    random_uniform,
    std_normal,
    zeros,
)
from xdfn.layers import Context, Dropout, FullyConnected, LayerBase, Softmax
from xdfn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase, SquaredError
from xdfn.model import DFN
from xdfn.optimizers import SGD, AdaDelta, AdaGrad, Adam, Momentum, OptimizerBase, OptimizerInitializer, RMSProp

__version__ = "0.1.0"

__all__ = [
    "DFN",
    "ELU",
    "SELU",
    "SGD",
    "ActivationBase",
    "ActivationInitializer",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "Affine",
    "BinaryCrossEntropy",
    "Context",
    "CrossEntropy",
    "Dropout",
    "Exponential",
    "FullyConnected",
    "HardSigmoid",
    "InitializerBase",
    "LayerBase",
    "LeakyReLU",
    "Momentum",
    "ObjectiveBase",
    "OptimizerBase",
    "OptimizerInitializer",
    "RMSProp",
    "ReLU",
    "Sigmoid",
    "SoftPlus",
    "Softmax",
    "SquaredError",
    "Tanh",
    "WeightInitializer",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "load_data",
    "load_mnist",
    "minibatch",
    "random_normal",
    "random_uniform",
    "register",
    "sigmoid",
    "softmax",
    "std_normal",
    "zeros",
]
