import numpy as np
from measures import N, classes, measure, yes_or_no

from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase
from xdfn.train.metrics import Accuracy


def test_accuracy_counts_what_the_loss_decides(rng):
    y, z = classes(rng)
    right = np.sum(CrossEntropy().decide(z) == y.argmax(1))
    assert Accuracy().part(y, z, None, CrossEntropy()).tolist() == [right, N]
    y, z = yes_or_no(3)(rng)
    right = np.sum(BinaryCrossEntropy().decide(z) == y)
    assert Accuracy().part(y, z, None, BinaryCrossEntropy()).tolist() == [right, 3 * N]


def test_classes_that_tie_with_the_kth_are_among_the_k():
    y, z = np.eye(4)[[0, 1, 2, 3]], np.zeros((4, 4))
    assert measure("top_k(k=1)", y, z, CrossEntropy()) == 1
    z[:, 0] = 1
    assert measure("top_k(k=1)", y, z, CrossEntropy()) == 1 / 4


class Hinge(ObjectiveBase):
    """A classifier of one's own for class numbers (n,), which stay class numbers."""

    classifies = True

    def decide(self, z):
        return z.argmax(-1)


def test_a_classifying_loss_of_ones_own(rng):
    y, z = classes(rng)
    for spec in ("acc", "recall", "precision", "f1"):
        assert measure(spec, y.argmax(1), z, Hinge()) == measure(spec, y, z, CrossEntropy())
