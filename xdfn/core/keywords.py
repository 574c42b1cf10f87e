"""Arguments have other names in other libraries. Whoever writes `Adam(learning_rate=1e-3)` is told that it is called lr
here. This module holds the one table of these names, and the one way to tell of an argument that a function lacks.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, cast

F = TypeVar("F", bound=Callable[..., object])

# the names of scikit-learn, skorch, Keras, PyTorch and others: ours, of which the one that the function has is meant
_OURS = {
    # data and training
    "x data inputs": "X_train X_test X",
    "X": "X_train X_test",
    "y Y target targets labels y_true": "y_train y_test",
    "epochs max_epochs num_epochs nb_epoch max_iter n_iter": "n_epochs",
    "batchsize mini_batch_size minibatch_size": "batch_size",
    "validation_split val_split valid_size val_size": "validation_fraction",
    "metric": "metrics",
    "scoring scorer score": "metrics",
    "random_state random_seed rng": "seed",
    "n_samples": "samples",
    # the model
    "solver": "optimizer",
    "criterion objective loss_fn loss_function": "loss",
    "module": "layers",
    "global_clipnorm max_grad_norm gradient_clip_norm": "clip_norm",
    "clipvalue": "clip_value",
    "ema_momentum ema_decay": "ema",
    # layers
    "units num_units n_units out_features output_dim output_size": "n_out",
    "activation acti nonlinearity act": "acti_fn",
    "kernel_initializer weight_initializer weights_initializer kernel_init weight_init w_init initializer": "init_w",
    "bias_initializer bias_init b_init": "init_b",
    "kernel_regularizer weight_regularizer": "regularizer",
    "kernel_constraint weight_constraint": "constraint",
    "p dropout dropout_rate drop_prob": "rate",
    "sigma stddev": "std",
    "num_pieces pool_size": "n_pieces",
    "axis": "dim",
    "monitor": "best",
    "save_freq every_n_epochs": "every",
    "init alpha_initializer": "init_w alpha",
    # activations, initialisers, penalties, losses
    "negative_slope": "alpha",
    "val fill_value": "value",
    "l1 l2 lam lambda_ penalty": "strength",
    "alpha": "strength decay",
    "max_value": "limit",
    "label_smoothing": "smoothing",
    # optimizers
    "learning_rate learning_rate_init initial_learning_rate initial_lr max_lr eta eta0": "lr",
    "epsilon": "eps",
    "beta_1 beta1 b1": "decay1",
    "beta_2 beta2 b2": "decay2",
    "rho": "decay",
    "nesterovs_momentum use_nesterov": "nesterov",
    # schedules
    "decay_steps T_max total_steps total_iters step_size": "length",
    "gamma decay_rate": "factor",
    "eta_min end_learning_rate": "end",
    "warmup_steps warmup_epochs pct_start": "warmup",
    "div_factor": "start",
    "final_div_factor": "end",
    # metrics and callbacks
    "top_k": "k",
    "restore_best_weights load_best": "restore_best",
    "n_iter_no_change early_stopping_rounds": "patience",
    "tol threshold": "min_delta",
    "filepath filename file_name dirpath f_params": "path",
}
OURS = {theirs: tuple(ours.split()) for names, ours in _OURS.items() for theirs in names.split()}

_OPTIMIZERS = "it belongs to the optimizer, as in optimizer='sgd(lr=0.01, momentum=0.9, nesterov=True)'"
_PENALTY = "a penalty belongs to a layer, as in FullyConnected(64, regularizer='l2(1e-4)')"
_SCHEDULE = "a schedule stands in the place of the rate, as in lr='cosine(0.01, 20)'"
_STOPPING = "fit takes callbacks=['early_stopping(patience=10, min_delta=0.0)'], and validation_fraction=0.1"
_WEIGHTS = "fit takes sample_weight and class_weight"
_WIDTH = "the number of inputs follows from the first X"
_ON = "fit goes on where the last one ended, and reset() forgets what was learned"
_OF_FIT = "fit takes it"

# what to say where the function has none of these: it is elsewhere, or something else
_ELSEWHERE = {
    "epochs max_epochs num_epochs max_iter n_iter": "fit takes it, as n_epochs",
    "n_epochs callbacks class_weight sample_weight validation_data validation_fraction": _OF_FIT,
    "validation_split": "fit takes it, as validation_fraction",
    "eval_set val_data valid_data validation_set X_val y_val x_val": "fit takes validation_data=(X, y)",
    "train_split": "fit takes validation_fraction, or validation_data=(X, y)",
    "batch_size": "fit and evaluate take it; predict divides the rows by itself",
    "verbose": "fit takes it, and nothing else prints",
    "metrics metric": "fit and evaluate take metrics",
    "shuffle": "fit shuffles the rows in every epoch",
    "warm_start initial_epoch": _ON,
    "random_state random_seed seed": "all randomness comes from the seed of the model: DFN(..., seed=0)",
    "device": "the arrays decide; DFN.to and the device of fit say otherwise",
    "dtype": "the dtype of the first X decides",
    "optimizer loss": "DFN takes it",
    "hidden_layer_sizes hidden_sizes hidden_units hidden_dims layer_sizes": (
        "DFN(layers=[64, 10]) has 64 hidden units and 10 outputs"
    ),
    "activation": "each layer has its own, as in FullyConnected(64, 'tanh')",
    "clip_norm global_clipnorm": "the model clips the gradients of all layers: DFN(..., clip_norm=1.0)",
    "clipnorm": "Keras cuts each gradient by itself; DFN(..., clip_norm=1.0) cuts all of them together",
    "clip_value clipvalue": "the model clips the gradients of all layers: DFN(..., clip_value=1.0)",
    "use_ema ema_momentum": "the model has the averages: DFN(..., ema=0.99)",
    "in_features input_dim input_shape input_size num_features normalized_shape num_parameters n_in": _WIDTH,
    "use_bias bias": "a layer with weights always has a bias, and init_b draws it",
    "bias_regularizer bias_constraint activity_regularizer": "penalties and constraints act on the weights alone",
    "name": "layers are named by their kind and number, as FC1, and metrics by a dict {name: metric}",
    "dropout dropout_rate": "dropout is a layer, as in layers=[64, 'dropout(0.5)', 10]",
    "alpha": "scikit-learn's is a penalty of a layer: regularizer='l2(1e-4)'; Keras's is end / lr",
    "weight_decay": "AdamW and SGDW have it; " + _PENALTY,
    "l1 l2": _PENALTY,
    "nonlinearity": "each initialiser has its activation: he_uniform ReLU, lecun_normal SELU, glorot_uniform tanh",
    "approximate": "GELU is the form with tanh",
    "l1_ratio": "the elastic net is regularizer='l1l2(l1=1e-5, l2=1e-4)'",
    "max_norm": "it is a constraint of a layer, as in FullyConnected(64, constraint='max_norm(3)')",
    "std stddev": "the standard deviation is gain in std_normal(gain=0.01), std in random_normal(std=0.01)",
    "minval maxval low high": "random_uniform(b=0.05) draws from -b to b",
    "label_smoothing": "it belongs to the loss: loss='cross_entropy(smoothing=0.1)'",
    "from_logits": "a loss takes the scores, and has softmax or sigmoid in it",
    "reduction": "a loss is the mean over the rows",
    "weight pos_weight": _WEIGHTS,
    "learning_rate learning_rate_init lr": "it belongs to the optimizer, as in optimizer='adam(lr=0.001)'",
    "betas": "Adam's betas=(b1, b2) are decay1=b1, decay2=b2 here",
    "momentum nesterov nesterovs_momentum": _OPTIMIZERS,
    "decay lr_decay power_t lr_scheduler": _SCHEDULE,
    "params": "the model gives its parameters to the optimizer: DFN(..., optimizer=Adam())",
    "decay_rate": "the length of InverseTimeDecay is decay_steps / decay_rate",
    "start_factor end_factor": "lr and end are rates, and no shares of one",
    "staircase": "StepDecay goes down in stairs, ExponentialDecay on a smooth curve",
    "early_stopping n_iter_no_change early_stopping_rounds tol": _STOPPING,
    "threshold_mode": "min_delta is in the unit of the monitored value",
    "lower_is_better": "say mode='min' or mode='max'",
    "save_best_only save_top_k": "Checkpoint(path, best='val_loss') keeps the best epoch alone",
    "average": "it is the mean over the classes (macro), for one answer of yes or no that of yes (binary)",
}
ELSEWHERE = {theirs: advice for names, advice in _ELSEWHERE.items() for theirs in names.split()}


def known_arguments(function: F) -> F:
    """Decorator: an argument that the function lacks is a TypeError that says what it is called here.

    Only keywords are looked at, and nothing else changes. A function with ``**kwargs`` is left as it is, and so is one
    that is decorated already.

    Examples
    --------
    >>> @known_arguments
    ... def descend(lr=0.1, eps=1e-7): ...
    >>> descend(learning_rate=1)
    Traceback (most recent call last):
    TypeError: descend() has no argument 'learning_rate': it is called lr here; descend takes lr=0.1, eps=1e-07
    """
    code = function.__code__
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return function
    names = frozenset(code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount])

    @functools.wraps(function)
    def checked(*args: object, **kwargs: object) -> object:
        if not kwargs.keys() <= names:
            *_, owner, name = ("", *function.__qualname__.split("."))
            if name == "__init__":  # by the name of the class, which may have inherited it
                cls = type(args[0])
                name = cls.__name__ if cls.__init__ is checked else owner
            raise TypeError(complaint(name, inspect.signature(function), kwargs))
        return function(*args, **kwargs)

    return cast(F, checked)


def complaint(name: str, signature: inspect.Signature, keywords: Iterable[str]) -> str | None:
    """What is wrong with these keywords for the function of that name, and how to mend it; None if nothing is.

    >>> complaint("fit", inspect.signature(lambda X, n_epochs=20: 0), ["epochs", "x"])
    "fit() has no argument 'epochs': it is called n_epochs here; no argument 'x': it is called X here; fit takes X, \
n_epochs=20"
    """
    taken = {p.name: p for p in signature.parameters.values() if p.kind is not p.VAR_POSITIONAL and p.name != "self"}
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return None
    unknown = [keyword for keyword in keywords if keyword not in taken]
    if not unknown:
        return None
    return f"{name}() has {'; '.join(_about(keyword, taken) for keyword in unknown)}; {takes(name, signature)}"


def takes(name: str, signature: inspect.Signature) -> str:
    """``"SGD takes lr=0.01, momentum=0.0"``: the arguments of a function, without their types."""
    shown = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    return f"{name} takes {', '.join(map(str, shown)) or 'no arguments'}"


def _about(keyword: str, taken: Mapping[str, object]) -> str:
    """What to say of one keyword that is not among those taken."""
    ours = [name for name in OURS.get(keyword, ()) if name in taken]
    if ours:
        return f"no argument {keyword!r}: it is called {ours[0]} here"
    if keyword in ELSEWHERE:
        return f"no argument {keyword!r}: {ELSEWHERE[keyword]}"
    import difflib  # only now, since `import xdfn` should be quick

    near = difflib.get_close_matches(keyword, taken, 1, 0.6)
    return f"no argument {keyword!r}" + (f": did you mean {near[0]}?" if near else "")
