"""A training loop of the user's own: the steps of a fit, one by one, as the notebook has them."""

from xdfn.backend import Array, ArrayLike, computing, namespace
from xdfn.nn.layers.context import Context
from xdfn.train.checks import check_inputs, check_params
from xdfn.train.plan import Configured, make_step


class CustomLoop(Configured):
    """The methods of `DFN` for loops by hand: `forward`, `backward`, `update`, `flush_gradients`.

    Dropout's masks and the optimizer's memory are the same as in `fit`.
    """

    def forward(self, X_train: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """The output of the last layer, and the input of each layer by name.

        A step of training: layers keep their inputs for `backward`, and Dropout drops.
        """
        X = self.config().as_array("X_train", X_train)
        check_inputs(X, self.config().n_in, "X_train")
        self.initialize(X)
        layers, memory, seed = self.config().layers, self._memory, self._memory.seed or 0
        for layer, params in zip(layers.values(), check_params(layers, X, memory.dtype), strict=True):
            for name, value in params.items():
                if layer.params[name] is not value:
                    layer.params[name] = value
        xp = namespace(X)
        Xs, out = {}, xp.astype(X, getattr(xp, memory.dtype), copy=False)
        with computing(X):
            for i, (name, layer) in enumerate(layers.items()):
                Xs[name] = out
                passes = len(layer.X)  # since the last update; the first draws as fit does in this step
                again = (passes,) if passes else ()
                ctx = Context(layer.random_key(seed, i, memory.step, *again), training=layer.trainable)
                out = layer.forward(out) if layer.overrides_forward else layer.step_forward(out, ctx)
        return out, Xs

    def backward(self, grad: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient at the input, and the gradient at each layer's output by name, from that at the last output."""
        dXs, out = {}, grad
        for name, layer in reversed(self.config().layers.items()):
            dXs[name] = out
            out = layer.backward(out)
        return out, dXs

    def update(self) -> None:
        """Move all parameters by the gradients gathered, as a step of `fit` does, then forget those."""
        config = self.config()
        config.require_initialized()
        layers = config.layers
        like = next(value for layer in layers.values() for value in layer.params.values())
        with computing(like):
            step, state = make_step(config, self._memory, like)
            gradients = [dict(layer.gradients) for layer in layers.values()]
            moved = step.update(state, gradients, step.scalars(self._memory.step))
            self._memory.unpack(step, moved._replace(batch=0), layers)  # in no epoch

    def flush_gradients(self, curr_loss: object = None) -> None:
        """Zero the gradients and forget the retained inputs."""
        for layer in self.config().layers.values():
            layer.flush_gradients()
