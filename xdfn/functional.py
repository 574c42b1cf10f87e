"""A network as a pure function of its parameters and its inputs, for what a library does with such functions: gradients
by its own tape, maps over rows or over many networks, compilation.
"""

import copy
from collections.abc import Callable, Mapping

from xdfn.backend import HOST, Array, Foreign, Place, computing, fresh_copy, namespace, place
from xdfn.inference import freeze
from xdfn.nn.network import LayerTree, Network
from xdfn.train.checks import check_real
from xdfn.train.plan import Configured

Params = dict[str, dict[str, Foreign]]  # arrays by layer and name, of the layers that have some
PureFunction = Callable[[Mapping[str, Mapping[str, Foreign]], Foreign], Foreign]  # of a library's arrays, or tracers


class Functional(Configured):
    """The method of `DFN` that gives it as a function."""

    def as_function(self, *, scores: bool = False) -> tuple[PureFunction, Params]:
        """The model as a pure function `apply`, and its parameters: ``apply(params, X)`` is ``predict_proba(X)``.

        ``jax.jit``, ``jax.vmap``, ``jax.grad``, PyTorch's autograd, ``torch.func`` and ``torch.compile`` take `apply`.
        It is the network at inference, as it is now: Dropout and noise are left out, and BatchNorm's running
        statistics are constants. Neither the model nor the function sees what becomes of the other.

        Parameters
        ----------
        scores : bool
            Whether `apply` gives the scores before the loss's link, such as logits.

        Returns
        -------
        apply : function(params, X)
            For X (n, n_in) what `predict_proba` gives, in its shape; for one row (n_in,), as a `vmap` hands it, the
            same without the first axis. It computes in the dtype of the parameters. All rows at once: it makes no
            pieces of them.
        params : dict by layer of dicts of arrays, such as ``params["FC1"]["W"]``
            Copies of the parameters, of the moving averages where the model answers with these.

        Raises
        ------
        ValueError
            The model has no parameters yet, or one of its layers defines `forward` in place of `apply` and so keeps a
            state. From `apply`: params or X do not fit.

        Notes
        -----
        At a kink, such as ReLU's at 0, JAX and PyTorch may take another slope than fit: the mean of those at both
        sides. Beyond its limit they take 0 for Exponential.

        Examples
        --------
        >>> import numpy as np
        >>> from xdfn import DFN
        >>> model = DFN(layers=["fc(1, 'affine', 'constant(3)')"], loss="squared_error").initialize(np.zeros((1, 2)))
        >>> apply, params = model.as_function()
        >>> params["FC1"]["b"] += 0.5
        >>> apply(params, np.ones((3, 2))).tolist()
        [[6.5], [6.5], [6.5]]
        >>> apply(params, np.ones(2)).tolist()
        [6.5]
        """
        config = self._config()
        config.require_initialized()
        for name, layer in config.layers.items():
            if layer.overrides_forward:
                raise ValueError(
                    f"as_function: {name}, {layer}, defines forward and keeps a state of its own; write apply and "
                    "pullback instead"
                )
        like = next((x for layer in config.layers.values() for x in layer.params.values()), HOST.xp.empty(0))
        with computing(like):
            frozen = freeze(config, self._memory, like)
            params, buffers = fresh_copy((frozen.params, frozen.buffers))
        network = Network([layer.clone(bare=True) for layer in config.layers.values()], copy.deepcopy(config.loss))
        by_layer = dict(zip(config.layers, params, strict=True))
        apply = pure(network, by_layer, buffers, self._memory.flat_targets, scores)
        return apply, {name: p for name, p in by_layer.items() if p}


def pure(network: Network, like: Params, buffers: LayerTree, flat: bool, scores: bool) -> PureFunction:
    """A network as a function of parameters like these. With `flat`, predictions of one output are (n,)."""
    layers, names = list(like), {layer: sorted(of_layer) for layer, of_layer in like.items() if of_layer}
    n_in, where = network.layers[0].n_in, place(next(x for of_layer in like.values() for x in of_layer.values()))

    def apply(params: Mapping[str, Mapping[str, Array]], X: Array) -> Array:
        """The prediction for rows X (n, n_in), or for one row (n_in,)."""
        check_rows(X, n_in, where)
        given = {layer: sorted(of_layer) for layer, of_layer in params.items()}
        if given != names:
            raise ValueError(f"params must hold {names}, got {given}")
        tree, xp = [dict(params.get(layer, {})) for layer in layers], where.xp
        dtype = next(x.dtype for of_layer in tree for x in of_layer.values())
        with computing(X, tape=True):
            z = network.infer(tree, buffers, xp.reshape(xp.astype(X, dtype, copy=False), (-1, n_in)))
            y = z if scores else network.loss.link(z)
            return xp.reshape(y, X.shape[:-1] if flat and y.shape[1] == 1 else (*X.shape[:-1], y.shape[1]))

    return apply


def check_rows(X: Array, n_in: int | None, where: Place) -> None:
    """Raise ValueError unless X is rows (n, n_in) or one row (n_in,), of the library of that place."""
    if namespace(X) is not where.xp:
        raise ValueError(
            f"X is not an array of {where.library}, where the model was: convert X, or move the model with model.to(X) "
            "before as_function"
        )
    check_real(X, "X")
    if X.ndim not in (1, 2) or X.shape[-1] != n_in:
        raise ValueError(f"X must have shape (n, {n_in}) or ({n_in},), got {tuple(X.shape)}")
