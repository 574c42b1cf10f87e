"""What users bring and what they are told. Each case is a mistake, what is said, and what one does who follows it: the
mistake is an error that changes nothing, and the advice works.
"""

import copy
import re

import numpy as np
import pytest
from mistakes import CASES, LABELS, X, classes


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_mistake_is_said_and_the_advice_works(case, capsys):
    make, mistake, says, mend = CASES[case]
    model = make()
    before = copy.deepcopy(vars(model)) if model is not None else {}
    with pytest.raises((ValueError, TypeError, AttributeError)) as error:
        mistake(model)
    assert re.search("|".join(map(re.escape, says.split("|"))), str(error.value)), str(error.value)
    if model is not None and "assign" not in mistake.__code__.co_names:
        assert model.history == before["history"]
        assert model.layers.keys() == before["_layers"].keys()
        for name, layer in model.layers.items():
            kept = before["_layers"][name]
            assert layer.params.keys() == kept.params.keys()
            assert all(np.array_equal(layer.params[key], kept.params[key]) for key in kept.params)
    if mend is not None:
        mend(make())


PYTORCH = {  # on other libraries the advice names their functions
    "X is one column": (lambda m, x, y: m.fit(x[:, 0], y), "torch.reshape(X_train, (-1, 1)) makes one column"),
    "classes count from 1": (lambda m, x, y: m.fit(x, y + 1), "labels, y = torch.unique(y, return_inverse=True)"),
    "class numbers as floats": (lambda m, x, y: m.fit(x, y * 1.0), "for classes, torch.asarray(y, dtype=int)"),
    "a column of class numbers": (lambda m, x, y: m.fit(x, y[:, None]), "for classes, torch.reshape(y, (-1,))"),
}


@pytest.mark.parametrize("case", PYTORCH)
def test_the_advice_speaks_of_the_arrays_own_library(case):
    torch = pytest.importorskip("torch")
    mistake, says = PYTORCH[case]
    x, y = torch.asarray(X), torch.asarray(LABELS)
    with pytest.raises(ValueError, match=re.escape(says)):
        mistake(classes(), x, y)
    labels, numbered = torch.unique(y + 1, return_inverse=True)
    assert labels.tolist() == [1, 2, 3]
    classes().fit(x, numbered, 1, verbose=0)
    classes().fit(x, torch.asarray(y * 1.0, dtype=int), 1, verbose=0)
    classes().fit(x, torch.reshape(y[:, None], (-1,)), 1, verbose=0)
    classes().fit(torch.reshape(x[:, 0], (-1, 1)), y, 1, verbose=0)
