import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from xdfn import DFN
from xdfn.plotting import LivePlot

CELL = """
import numpy as np
from xdfn import DFN, plotting
X, y = np.eye(4), np.asarray([0, 1, 0, 1])
more = {"verbose": 0, "validation_data": (X, y), "metrics": "accuracy", "callbacks": [plotting.LivePlot(seconds=0)]}
model = DFN(4, 2, seed=0).fit(X, y, 3, **more)
"""


@pytest.fixture
def windows(monkeypatch):
    """As if matplotlib drew into windows: what they show at each pause."""
    shown = []

    def pause(seconds):
        axes = plt.gcf().axes[0]
        shown.append(len(axes.lines[0].get_xdata()))

    monkeypatch.setattr(matplotlib, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(plt, "pause", pause)
    yield shown
    plt.close("all")


@pytest.mark.parametrize(("seconds", "drawn"), [(0, [1, 2, 3]), (60, [1, 3])])
def test_a_window_shows_the_epochs_so_far(windows, blobs, seconds, drawn):
    DFN(8, 3, seed=0).fit(*blobs, 3, verbose=0, callbacks=[LivePlot(seconds)])
    assert windows == drawn
    assert len(plt.get_fignums()) == 1  # for the user to close


def test_without_a_window_it_says_what_to_do(blobs):
    assert matplotlib.get_backend().lower() == "agg"
    model = DFN(8, 3, seed=0)
    with pytest.raises(ValueError, match="LivePlot draws in a notebook, or in a window of matplotlib"):
        model.fit(*blobs, 3, verbose=0, callbacks=[LivePlot()])
    assert model.history["loss"] == []
    assert plt.get_fignums() == []


def test_a_notebook_shows_one_picture_that_changes():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    seen = []

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen.append(message["msg_type"])
                assert "image/png" in message["content"]["data"]
            return super().process_message(message, cell, index)

    Client(notebook, timeout=120, kernel_name="python3").execute()
    assert seen == ["display_data", "update_display_data", "update_display_data"]
    (output,) = notebook.cells[0].outputs
    assert "image/png" in output["data"]
    assert np.frombuffer(output["data"]["image/png"].encode(), "u1").size > 5_000
