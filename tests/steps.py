"""Steps of training by themselves, without an epoch around them."""

from xdfn.train.data import Batches
from xdfn.train.engine import choose_engine, scalars_of
from xdfn.train.plan import make_step
from xdfn.train.state import BatchShape


def network(model, X):
    """The step of an initialised model, and the state that it begins with."""
    return make_step(model.initialize(X).config(), model._memory, X)


def steps_of(model, X, y, order, size):
    """A function that takes the steps of these rows as the loop takes them; the arrays that they share are there."""
    step, state = network(model, X)
    workspace = step.workspace(state)
    engine, batches, shape = choose_engine(step, workspace), Batches(X, y, None, order, size), BatchShape()

    backup = state.copied(None)  # to which a recording that fails goes back

    def run(state):
        taken = engine.run(state, batches, shape, backup)
        if taken is not None:
            return taken[0]
        for x, t, weight in batches:
            state, _ = step(state, x, t, weight, scalars_of(step, state, shape), workspace)
        return state

    states = [run(state)]

    return lambda: states.append(run(states.pop()))
