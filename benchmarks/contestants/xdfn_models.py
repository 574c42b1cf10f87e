"""xdfn itself, on NumPy's, PyTorch's and JAX's arrays. Of the orders only the number counts: its own are the same."""


def on_numpy(case, params, X, y):
    model = case.model(X)

    def run(orders):
        model.fit(X, y, n_epochs=len(orders), batch_size=case.batch, verbose=None, check_input=False)
        return model.history["loss"][-1]

    return run


def on_torch(case, params, X, y):
    import torch

    return on_numpy(case, params, torch.asarray(X), torch.asarray(y))


def on_jax(case, params, X, y):
    import jax.numpy as jnp

    return on_numpy(case, params, jnp.asarray(X), jnp.asarray(y))
