import numpy as np
import pytest

from xdfn.backend import computing, namespace, resolve_place

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_number_beside_a_tensor(dtype):
    x = torch.asarray(np.asarray([[-2, 0, 3]], dtype))
    xp = namespace(x)
    for name, numbers in (("maximum", (0.0, -3.0)), ("minimum", (0.0, 1, 7.0))):
        for number in numbers:
            ours, numpys = getattr(xp, name)(x, number), getattr(np, name)(x.numpy(), number)
            assert ours.tolist() == numpys.tolist()
            if dtype != "int32":
                assert ours.dtype == x.dtype
    assert xp.maximum(x, 2 * x).tolist() == [[-2, 0, 6]]
    assert torch.isnan(xp.maximum(torch.asarray([[np.nan]]), 0.0)).all()


def test_a_number_beside_a_tensor_can_be_compiled():
    x = torch.asarray([[-2.0, 3.0]])

    def clipped(x):
        xp = namespace(x)
        return xp.minimum(xp.maximum(x, 0.0), 1.0)

    assert torch.compile(clipped, fullgraph=True, backend="eager")(x).tolist() == [[0.0, 1.0]]


def test_one_namespace():
    assert namespace(torch.zeros(1)) is resolve_place("torch").xp is resolve_place(torch.device("cpu")).xp


def test_computing_with_and_without_a_tape():
    x = torch.ones(1, requires_grad=True)
    with computing(x):
        assert not (2 * x).requires_grad
    with computing(x, tape=True):
        assert (2 * x).requires_grad
    with torch.no_grad(), computing(x, tape=True):
        assert not (2 * x).requires_grad
