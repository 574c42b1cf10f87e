"""Parameters in vectors."""

from fits import with_dropout
from steps import network as step_of

from xdfn import DFN, FullyConnected


def test_neighbours_with_equal_optimizers_share_a_segment(rng):
    x = rng.normal(size=(4, 5))
    layers = [FullyConnected(2, "relu", "he_normal", opt) for opt in (None, None, "adam", "sgd(lr=0.5)", "sgd(lr=0.5)")]
    step, _ = step_of(DFN(layers=layers, optimizer="adam", seed=0), x)
    assert [(str(s.optimizer)[:4], len(s.entries)) for s in step.segments.segments] == [("Adam", 6), ("SGD(", 4)]


def network(x):
    return step_of(with_dropout(), x)


def test_the_state_makes_a_round_trip(backend, rng):
    x = backend.array(rng.normal(size=(6, 5)), "float32")
    step, state = network(x)
    net = step.segments
    tree = net.unpack(state.params)
    shapes = [{name: tuple(p.shape) for name, p in layer.items()} for layer in tree]
    assert shapes == [
        {"W": (5, 7), "b": (1, 7)},
        {},
        {"W": (7, 4), "b": (1, 4)},
    ]
    for ours, packed in zip(state.params, net.pack(tree), strict=True):
        assert (backend.numpy(ours) == backend.numpy(packed)).all()
    slots = net.unpack_slots(state.slots)
    assert slots[0]["W"].keys() == {"m", "v"}
    for ours, packed in zip(state.slots, net.pack_slots(slots, state.params), strict=True):
        assert all((backend.numpy(a) == backend.numpy(b)).all() for a, b in zip(ours, packed, strict=True))
