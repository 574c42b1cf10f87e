"""The tables of parts. A new one earns all tests of its kind by one line."""

import numpy as np

ACTIVATIONS = [
    "ReLU",
    "LeakyReLU(alpha=0.3)",
    "LeakyReLU(alpha=0.01)",
    "Sigmoid",
    "HardSigmoid",
    "Tanh",
    "Affine(slope=1, intercept=0)",
    "Affine(slope=-2.5, intercept=0.75)",
    "Exponential",
    "SoftPlus",
    "ELU(alpha=1)",
    "ELU(alpha=0.5)",
    "SELU",
]

INITIALIZERS = {  # spec: standard deviation of the entries of a (600, 300) matrix, by hand
    "zeros": 0.0,
    "constant(value=0.1)": 0.0,
    "std_normal(gain=0.01)": 0.01,
    "random_uniform(b=0.5)": 0.5 / 3**0.5,
    "random_normal(std=0.02)": 0.02 * 0.8796,
    "he_uniform": (2 / 600) ** 0.5,
    "he_normal": (2 / 600) ** 0.5 * 0.8796,
    "glorot_uniform": (2 / 900) ** 0.5,
    "glorot_uniform(gain=2.0)": 2 * (2 / 900) ** 0.5,
    "glorot_normal": (2 / 900) ** 0.5 * 0.8796,
}

# spec: the parameter after two steps from 1 with the gradients 0.5 and -0.25, worked out by hand from the papers
OPTIMIZERS = {
    "SGD(lr=0.1)": 1 - 0.1 * 0.5 + 0.1 * 0.25,
    "Momentum(lr=0.1, momentum=0.9)": 1 - 0.05 + (-0.9 * 0.05 + 0.1 * 0.25),
    "AdaGrad(lr=0.1, eps=1e-07)": 1 - 0.1 * 0.5 / (0.5 + 1e-7) + 0.1 * 0.25 / (0.3125**0.5 + 1e-7),
    "RMSProp(lr=0.1, decay=0.9, eps=1e-07)": 1 - 0.05 / (0.025**0.5 + 1e-7) + 0.025 / (0.02875**0.5 + 1e-7),
    "AdaDelta(lr=0.001, decay=0.9, eps=0.01)": 1
    - 0.5 * (0.01 / 0.035) ** 0.5
    + 0.25 * ((0.01 + 0.1 * 0.25 * 0.01 / 0.035) / 0.03875) ** 0.5,
    "Adam(lr=0.1, decay1=0.9, decay2=0.99, eps=1e-07)": 1
    - 0.1 * 0.5 / (0.5 + 1e-7)
    - 0.1 * (0.02 / 0.19) / (((0.99 * 0.0025 + 0.01 * 0.0625) / 0.0199) ** 0.5 + 1e-7),
}


def _classes(rng, n, m):
    return rng.integers(0, m, n)


LOSSES = {  # spec: targets for n rows and m outputs
    "SquaredError": lambda rng, n, m: rng.normal(size=(n, m)),
    "CrossEntropy": lambda rng, n, m: np.eye(m)[_classes(rng, n, m)],
    "BinaryCrossEntropy": lambda rng, n, m: rng.integers(0, 2, (n, m)).astype(float),
}

LAYERS = [
    "FullyConnected(n_out=4, acti_fn='Tanh', init_w='glorot_uniform')",
    "FullyConnected(n_out=3, acti_fn='Sigmoid', init_w='std_normal(gain=0.5)', init_b='constant(value=0.1)')",
    "Softmax",
    "Dropout(rate=0.4)",
]
