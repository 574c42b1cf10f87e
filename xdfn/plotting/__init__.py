"""Pictures. Each function draws into given axes or new ones, and returns them; only this package knows matplotlib.

structure   network: the layers as a diagram, with their weights
neurons     neuron: one unit, forward and backward, with its numbers
flow        error_flow: how the errors flow back through the layers
images      weights: what goes into each unit, as images
curves      history: the training curves; learning_rates: a search for a learning rate
live        LivePlot: the training curves while a model trains
decisions   decision_surface: predictions over the plane; confusion_matrix: which class is taken for which
"""

try:
    import matplotlib  # noqa: F401  before all else, for an error that says what to do
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    advice = 'pip install "matplotlib>=3.9", or pip install "xdfn[plot]"'
    raise ModuleNotFoundError(f"xdfn.plotting needs matplotlib: {advice}", name="matplotlib") from None

from xdfn.plotting.curves import history, learning_rates
from xdfn.plotting.decisions import confusion_matrix, decision_surface
from xdfn.plotting.flow import error_flow
from xdfn.plotting.images import weights
from xdfn.plotting.live import LivePlot
from xdfn.plotting.neurons import neuron
from xdfn.plotting.structure import network

__all__ = [
    "LivePlot",
    "confusion_matrix",
    "decision_surface",
    "error_flow",
    "history",
    "learning_rates",
    "network",
    "neuron",
    "weights",
]
