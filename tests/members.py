"""Members of an ensemble beside the networks that their own fits make."""

import numpy as np
import pytest

from xdfn import FullyConnected


def fc(n, acti_fn="tanh", init_w="glorot_uniform", **more):
    return FullyConnected(n, acti_fn, init_w, **more)


def parameters(model, backend):
    return [backend.numpy(value) for layer in model.layers.values() for value in layer.params.values()]


def assert_same(members, alone, backend, atol=1e-10):
    """Parameters, buffers, history, counters and the learning rate shown."""
    for i, (member, model) in enumerate(zip(members, alone, strict=True)):
        assert member.history.keys() == model.history.keys()
        for name, values in model.history.items():
            np.testing.assert_allclose(member.history[name], values, rtol=0, atol=atol, err_msg=f"{name} of {i}")
        for a, b in zip(parameters(member, backend), parameters(model, backend), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=f"member {i}")
        a, b = (
            [backend.numpy(x) for layer in m.layers.values() for x in getattr(layer, "buffers", {}).values()]
            for m in (member, model)
        )
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=atol)
        assert member.learning_rate == pytest.approx(model.learning_rate, rel=1e-12, nan_ok=True)
        assert (member._memory.step, member._memory.epoch) == (model._memory.step, model._memory.epoch)
