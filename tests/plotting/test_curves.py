import math
from typing import NamedTuple

import numpy as np
import pytest
from pictures import ink

from xdfn import DFN, plotting


def test_history_draws_every_curve():
    model = DFN(3, 2, seed=0).fit(np.eye(4), np.asarray([0, 1, 0, 1]), 7, verbose=None)
    ax = plotting.history(model)
    (line,) = ax.get_lines()
    assert line.get_ydata().tolist() == model.history["loss"]
    assert line.get_xdata().tolist() == list(range(1, 8))


# -- history --


class Recorded:
    """What `history` looks at."""

    loss = DFN(2, 2).loss

    def __init__(self, **history):
        self.history = history


def test_history_draws_the_validation_with_its_gaps_and_its_best_epoch():
    val_loss = [math.nan, 1.5, 0.75, math.nan, 0.8, 0.9]
    ax = plotting.history(Recorded(loss=[3.0, 2.0, 1.0, 0.9, 0.8, 0.7], val_loss=val_loss, lr=[0.1] * 6))
    training, validation, best = ax.get_lines()
    assert training.get_ydata().tolist() == [3.0, 2.0, 1.0, 0.9, 0.8, 0.7]
    np.testing.assert_array_equal(validation.get_ydata(), val_loss)
    assert list(best.get_xdata()) == [3, 3]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", "best epoch: 3"]
    assert ax.figure.axes == [ax]  # no metrics, no axes for them; lr is not drawn
    assert ink(ax) > 0.01


def test_history_draws_metrics_on_the_right():
    accuracy = [0.5, math.nan, 0.75]
    recorded = Recorded(
        loss=[3.0, 2.0, 1.0], val_loss=[3.0, math.nan, 4.0], val_accuracy=accuracy, val_r2=[0.1, 0.2, 0.3], lr=[9.0] * 3
    )
    ax = plotting.history(recorded)
    left, right = ax.figure.axes
    assert left is ax
    np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), accuracy)
    assert right.get_lines()[1].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert {line.get_linestyle() for line in right.get_lines()} == {"--"}
    assert len({line.get_color() for axes in (left, right) for line in axes.get_lines()}) == 5
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["training", "validation", "best epoch: 1", "validation accuracy", "validation r2"]
    assert right.get_legend() is None
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1  # it hides no curve


def test_history_shows_values_that_stand_alone():
    """A line between NaN has no length, so such curves have points however many epochs there are."""
    every_fifth = [1.0 if i % 5 == 4 else math.nan for i in range(100)]
    training, validation, _ = plotting.history(Recorded(loss=[1.0] * 100, val_loss=every_fifth)).get_lines()
    assert (training.get_marker(), validation.get_marker()) == ("", "o")


def test_history_without_a_measured_validation_is_that_of_the_training():
    recorded = Recorded(loss=[2.0, 1.0], val_loss=[math.nan] * 2, val_accuracy=[math.nan] * 2)
    ax = plotting.history(recorded)
    assert [line.get_label() for line in ax.get_lines()] == ["training"]
    assert ax.figure.axes == [ax]
    assert plotting.history(DFN(2, 2)).get_lines()[0].get_ydata().size == 0


def test_history_of_a_fit_with_a_validation(backend, rng):
    X, y = backend.array(rng.normal(size=(30, 3)), "float32"), backend.array(rng.integers(0, 2, 30))
    model = DFN(4, 2, seed=0).fit(X, y, 4, 10, verbose=None, validation_data=(X, y), metrics=["accuracy"])
    ax = plotting.history(model)
    assert ax.get_lines()[1].get_ydata().tolist() == model.history["val_loss"]
    assert ax.figure.axes[1].get_lines()[0].get_ydata().tolist() == model.history["val_accuracy"]
    assert ax.get_lines()[2].get_xdata()[0] == 1 + int(np.argmin(model.history["val_loss"]))


# -- the search for a learning rate --


class Search(NamedTuple):
    rates: list[float]
    losses: list[float]
    suggestion: float


def test_a_search_is_drawn_without_its_explosion():
    rates = np.geomspace(1e-5, 10, 25)
    losses = np.concatenate([np.linspace(2.4, 2.2, 5), np.linspace(2.2, 0.5, 15), 10.0 ** np.arange(5)])
    ax = plotting.learning_rates(Search(rates.tolist(), losses.tolist(), 0.02345))
    curve, line = ax.get_lines()
    assert curve.get_xdata().tolist() == rates.tolist()
    assert curve.get_ydata().tolist() == losses.tolist()
    assert list(line.get_xdata()) == [0.02345] * 2
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["suggestion 0.0234"]
    low, high = ax.get_ylim()
    assert 0 < low < 0.5
    assert 2.4 < high < 3
    assert ink(ax) > 0.01


@pytest.mark.parametrize("losses", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, math.nan, math.inf]])
def test_a_search_without_a_fall_has_limits_all_the_same(losses):
    ax = plotting.learning_rates(Search([0.1, 1.0, 10.0], losses, 1.0))
    low, high = ax.get_ylim()
    assert low < losses[0] < high
