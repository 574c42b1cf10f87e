"""A model as a line, a dictionary, a table."""

import ast
from html.parser import HTMLParser

import numpy as np
import pytest
from fits import everything

from xdfn import DFN, Dropout, FullyConnected, Softmax
from xdfn.inspect import summary


def rebuilt(text):
    """The model that a repr describes, its arguments read as literals."""
    call = ast.parse(text, mode="eval").body
    return DFN(**{keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords})


def test_summary_and_repr():
    model = DFN(
        layers=[
            FullyConnected(16, "relu", "he_uniform"),
            Dropout(0.2),
            FullyConnected(3, "affine", "zeros", "sgd"),
            Softmax(),
        ],
        optimizer="adam",
        seed=7,
    )
    assert "?" in model.summary()
    model.initialize(np.zeros((1, 4)))
    rows = [line.split() for line in model.summary().splitlines()]
    assert [row[0] for row in rows] == ["layer", "FC1", "Dropout1", "FC2", "Softmax1", "total"]
    assert [row[-1] for row in rows[1:]] == ["80", "0", "51", "0", "131"]
    assert rebuilt(repr(model)).initialize(np.zeros((1, 4))).summary() == model.summary()
    assert (
        repr(DFN(5, 2, seed=3))
        == "DFN(5, 2, optimizer='sgd(lr=0.01)', init_w='std_normal', loss='CrossEntropy', seed=3)"
    )


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(150, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def test_a_notebook_shows_a_table(rows):
    model = everything().fit(*rows, 1, 32, None)
    html = model._repr_html_()
    assert html.count("<tr") == len(model.layers) + 2  # and the head, and the total
    assert "GaussianNoise1" in html
    assert "layers=" not in html
    assert f"{sum(p.size for layer in model.layers.values() for p in layer.params.values()):,}" in html


class Table(HTMLParser):
    """The cells of a table by row, all tags and attributes, and the text beside the cells."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.attributes, self.beside, self.open = [], [], set(), "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # each is closed, in the right order

    def handle_data(self, data):
        if self.open[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data
        else:
            self.beside += data


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.integers(0, 3, 6)


def network(*layers, **more):
    return DFN(layers=list(layers), optimizer="sgd(lr=0.1)", seed=3, **more)


def test_html_is_the_table_of_the_summary(data):
    model = network("fc(1200, 'tanh', 'he_normal')", "batch_norm", "dropout(0.5)", "fc(3, 'affine', 'he_normal')")
    for _ in ("with question marks", "with numbers"):
        table = Table(summary.html(model.layers, repr(model)))
        assert [" ".join(row).split() for row in table.rows] == [line.split() for line in model.summary().splitlines()]
        assert table.open == []
        assert table.beside.split() == repr(model).split()
        assert set(table.tags) == {"div", "code", "table", "thead", "tbody", "tfoot", "tr", "th", "td"}
        assert table.attributes == {"style"}
        assert ("?" in table.rows[1][-1]) is not model.is_initialized
        model.initialize(data[0])
    assert table.rows[1] == ["FC1", "FullyConnected, Tanh", "(n, 1200)", "6,000"]  # 4 * 1200 + 1200
    assert table.rows[-1] == ["total", "", "", "12,003"]  # and 2 * 1200, and 1200 * 3 + 3


def test_html_escapes_what_it_shows():
    (layer,) = network("fc(3, 'affine', 'he_normal')").layers.values()
    text = summary.html({"<b>": layer}, "<script>alert('&amp;')</script>")
    table = Table(text)
    assert table.rows[1][0] == "<b>"
    assert table.beside.strip() == "<script>alert('&amp;')</script>"
    assert not {"b", "script"} & set(table.tags)
