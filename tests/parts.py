"""The tables of parts. A new one earns all tests of its kind by one line."""

import numpy as np

from xdfn import DFN, FullyConnected, Residual
from xdfn.nn.layers.base import layers

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
    "Softsign",
    "SiLU",
    "Mish",
    "GELU",
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
    "lecun_uniform": (1 / 600) ** 0.5,
    "lecun_normal": (1 / 600) ** 0.5 * 0.8796,
    "orthogonal": (1 / 600) ** 0.5,
    "orthogonal(gain=2.0)": 2 * (1 / 600) ** 0.5,
    "glorot_normal": (2 / 900) ** 0.5 * 0.8796,
}


def _nadam():
    mu1, mu2, mu3 = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2, 3))
    p = 1 - 0.1 * ((1 - mu1) / (1 - mu1) * 0.5 + mu2 / (1 - mu1 * mu2) * 0.05) / (0.5 + 1e-7)
    root = ((0.99 * 0.0025 + 0.01 * 0.0625) / 0.0199) ** 0.5 + 1e-7
    return p - 0.1 * ((1 - mu2) / (1 - mu1 * mu2) * -0.25 + mu3 / (1 - mu1 * mu2 * mu3) * 0.02) / root


# spec: the parameter after two steps from 1 with the gradients 0.5 and -0.25, worked out by hand from the papers
OPTIMIZERS = {
    "SGD(lr=0.1)": 1 - 0.1 * 0.5 + 0.1 * 0.25,
    "SGD(lr=0.1, momentum=0.9)": 1 - 0.05 - 0.1 * (0.45 - 0.25),
    "SGD(lr=0.1, momentum=0.9, nesterov=True)": 1 - 0.1 * (0.5 + 0.45) - 0.1 * (-0.25 + 0.9 * (0.45 - 0.25)),
    "SGD(lr=0.1, weight_decay=0.5)": 0.9 - 0.1 * (-0.25 + 0.45),
    "SGDW(lr=0.1, momentum=0.9, weight_decay=0.5)": 0.95 * (0.95 - 0.05) - 0.1 * (0.45 - 0.25),
    "Momentum(lr=0.1, momentum=0.9)": 1 - 0.05 + (-0.9 * 0.05 + 0.1 * 0.25),
    "Momentum(lr=0.1, momentum=0.9, nesterov=True)": 1 - 0.095 + (0.9 * (-0.045 + 0.025) + 0.025),
    "AdaGrad(lr=0.1, eps=1e-07)": 1 - 0.1 * 0.5 / (0.5 + 1e-7) + 0.1 * 0.25 / (0.3125**0.5 + 1e-7),
    "RMSProp(lr=0.1, decay=0.9, eps=1e-07)": 1 - 0.05 / (0.025**0.5 + 1e-7) + 0.025 / (0.02875**0.5 + 1e-7),
    "AdaDelta(lr=0.001, decay=0.9, eps=0.01)": 1
    - 0.5 * (0.01 / 0.035) ** 0.5
    + 0.25 * ((0.01 + 0.1 * 0.25 * 0.01 / 0.035) / 0.03875) ** 0.5,
    "Adam(lr=0.1, decay1=0.9, decay2=0.99, eps=1e-07)": 1
    - 0.1 * 0.5 / (0.5 + 1e-7)
    - 0.1 * (0.02 / 0.19) / (((0.99 * 0.0025 + 0.01 * 0.0625) / 0.0199) ** 0.5 + 1e-7),
    "AdamEpsilonHat(lr=0.1, decay1=0.9, decay2=0.99, eps=0.01)": 1
    - 0.1 * 0.05 / (0.05 + 0.01)
    - 0.1 * 0.0199**0.5 / 0.19 * 0.02 / (0.0031**0.5 + 0.01),
    "AdamW(lr=0.1, decay1=0.9, decay2=0.99, eps=1e-07, weight_decay=0.5)": 0.95 * (0.95 - 0.1 * 0.5 / (0.5 + 1e-7))
    - 0.1 * (0.02 / 0.19) / (((0.99 * 0.0025 + 0.01 * 0.0625) / 0.0199) ** 0.5 + 1e-7),
    "Nadam(lr=0.1, decay1=0.9, decay2=0.99, eps=1e-07)": _nadam(),
    "RAdam(lr=0.1, decay1=0.9, decay2=0.99, eps=1e-07)": 1 - 0.1 * 0.05 / 0.1 - 0.1 * 0.02 / 0.19,
}


def _classes(rng, n, m):
    return rng.integers(0, m, n)


LOSSES = {  # spec: targets for n rows and m outputs, an even number
    "SquaredError": lambda rng, n, m: rng.normal(size=(n, m)),
    "AbsoluteError": lambda rng, n, m: rng.normal(size=(n, m)),
    "Huber(delta=1.0)": lambda rng, n, m: rng.normal(size=(n, m)),
    "Huber(delta=0.3)": lambda rng, n, m: rng.normal(size=(n, m)),
    "Quantile(q=0.9)": lambda rng, n, m: rng.normal(size=(n, m)),
    "Quantile(q=(0.1, 0.9))": lambda rng, n, m: rng.normal(size=(n, m // 2)),
    "Gaussian": lambda rng, n, m: rng.normal(size=(n, m // 2)),
    "Poisson": lambda rng, n, m: rng.poisson(3.0, (n, m)).astype(float),
    "Poisson(deviance=True)": lambda rng, n, m: rng.poisson(3.0, (n, m)).astype(float),
    "CrossEntropy(smoothing=0.1)": lambda rng, n, m: np.eye(m)[_classes(rng, n, m)],
    "CrossEntropy": lambda rng, n, m: np.eye(m)[_classes(rng, n, m)],
    "BinaryCrossEntropy": lambda rng, n, m: rng.integers(0, 2, (n, m)).astype(float),
}

LAYERS = [
    "FullyConnected(n_out=4, acti_fn='Tanh', init_w='glorot_uniform')",
    "FullyConnected(n_out=3, acti_fn='Sigmoid', init_w='std_normal(gain=0.5)', init_b='constant(value=0.1)')",
    "Softmax",
    "Dropout(rate=0.4)",
    "GaussianNoise(std=0.3)",
    "BatchNorm",
    "BatchNorm(momentum=0.5, eps=0.01)",
    "LayerNorm",
    "PReLU",
    "Maxout(n_out=3, n_pieces=4)",
    "FullyConnected(n_out=2, acti_fn='Affine', init_w='he_normal', regularizer='L2(strength=0.1)')",
    "Embedding(columns={1: 3, 4: 2}, dim={1: 2, 4: 3}, init_w='std_normal(gain=1.0)')",
    "Embedding(columns={-4: 3, 0: 20}, regularizer='L2(strength=0.1)')",
    "Residual(layers=[\"FullyConnected(n_out=4, acti_fn='Tanh', init_w='glorot_uniform')\", 'BatchNorm', "
    "'Dropout(rate=0.3)', \"FullyConnected(n_out=5, acti_fn='Affine', init_w='he_normal')\"])",
]


def with_categories(spec, X):
    """X with category numbers in the columns where the layer wants such."""
    X = X.copy()
    for j, k in layers.resolve(spec).input_categories(X.shape[1]).items():
        X[:, j] = np.floor(abs(1000 * X[:, j])) % k
    return X


REGULARIZERS = ["L1(strength=0.3)", "L2(strength=0.2)", "L1L2(l1=0.3, l2=0.2)"]
CONSTRAINTS = ["MaxNorm(limit=0.7)"]

SCHEDULES = [
    "ConstantRate(lr=0.3)",
    "StepDecay(lr=0.8, length=3, factor=0.5)",
    "ExponentialDecay(lr=0.8, length=2, factor=0.25)",
    "InverseTimeDecay(lr=0.6, length=4)",
    "LinearDecay(lr=0.4, length=8, end=0.2)",
    "CosineDecay(lr=0.4, length=8, warmup=2, end=0.1)",
    "OneCycle(lr=0.5, length=12, by='step')",
    "ReduceOnPlateau(lr=0.3, factor=0.1, patience=10, monitor='loss')",
]

METRICS = [
    "Accuracy",
    "TopKAccuracy(k=2)",
    "BalancedAccuracy",
    "Precision",
    "Recall",
    "F1",
    "MeanSquaredError",
    "RootMeanSquaredError",
    "MeanAbsoluteError",
    "R2",
]

CALLBACKS = [
    "EarlyStopping(monitor='val_loss', patience=3, min_delta=0.1, mode='min', restore_best=False)",
    "Checkpoint(path='model.npz', best='val_accuracy')",
    "CSVLog(path='log.csv')",
    "LearningRateLog",
    "MLflowLog(save_model=True)",
    "Log(level='WARNING')",
    "ProgressBar(batches=True)",
    "TensorBoardLog(path='runs')",
]


def everything():
    """A network with a layer of every kind, penalties, constraints, clipping, averages and a schedule."""
    given = [
        "gaussian_noise(0.05)",
        "embedding({-1: 3}, dim=2)",
        FullyConnected(16, "relu", "he_uniform", regularizer="l1l2", constraint="max_norm(2)"),
        "batch_norm",
        "dropout(0.2)",
        Residual(["layer_norm", FullyConnected(16, "tanh", "glorot_uniform"), "dropout(0.1)"]),
        "maxout(12, n_pieces=3)",
        "prelu",
        FullyConnected(10, "affine", "glorot_uniform"),
    ]
    more = {"clip_norm": 2.0, "clip_value": 1.0, "ema": 0.9}
    return DFN(layers=given, optimizer="adamw(lr='cosine(1e-3, 10)', weight_decay=0.1)", seed=0, **more)
