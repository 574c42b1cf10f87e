"""JAX: an epoch as one compiled `scan`."""

import jax
import jax.numpy as jnp


def train(case, params, X, y):
    X, y = jnp.asarray(X), jnp.asarray(y)
    params = [{name: jnp.asarray(a) for name, a in p.items()} for p in params]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [params, zeros, jax.tree.map(jnp.zeros_like, zeros), 0]
    loss_of, update = loss_function(case), adam if case.optimizer == "adam" else sgd

    def step(carry, rows):
        params, m, v, t = carry
        key = jax.random.fold_in(jax.random.key(0), t)
        loss, g = jax.value_and_grad(loss_of)(params, X[rows], y[rows], key)
        t = t + 1
        return (*update(params, g, m, v, t, case.lr), t), loss

    @jax.jit
    def epoch(carry, order):
        carry, losses = jax.lax.scan(step, carry, order.reshape(-1, case.batch))
        return carry, jnp.mean(losses)

    def run(orders):
        nonlocal state
        for order in orders:
            state, loss = epoch(tuple(state), jnp.asarray(order))
            loss = float(loss)
        return loss

    return run


def loss_function(case):
    act = jax.nn.relu if case.activation == "relu" else jax.nn.sigmoid

    def loss_of(params, x, labels, key):
        for i, (p, rate) in enumerate(zip(params, case.rates, strict=True)):
            if rate:
                key, sub = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(sub, 1 - rate, x.shape), x / (1 - rate), 0)
            z = x @ p["W"] + p["b"]
            x = act(z) if i < len(params) - 1 else z
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1))

    return loss_of


def adam(params, g, m, v, t, lr):
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    lr_t, scale = lr / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
    return jax.tree.map(lambda p, m, v: p - lr_t * m / (scale * jnp.sqrt(v) + 1e-7), params, m, v), m, v


def sgd(params, g, m, v, t, lr):
    return jax.tree.map(lambda p, g: p - lr * g, params, g), m, v
