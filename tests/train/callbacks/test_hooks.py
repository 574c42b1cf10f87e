"""Methods that fit would never call are refused when their class is made."""

import pytest

from xdfn import Callback

THERE = {  # under the names of Keras, skorch, Lightning and fastai, and misspelt: ours
    "on_train_begin": "on_fit_begin",
    "on_train_end": "on_fit_end",
    "on_train_start": "on_fit_begin",
    "on_fit_start": "on_fit_begin",
    "before_fit": "on_fit_begin",
    "after_fit": "on_fit_end",
    "on_epoch_start": "on_epoch_begin",
    "before_epoch": "on_epoch_begin",
    "after_epoch": "on_epoch_end",
    "on_train_epoch_start": "on_epoch_begin",
    "on_train_epoch_end": "on_epoch_end",
    "on_validation_epoch_end": "on_epoch_end",
    "on_validation_end": "on_epoch_end",
    "after_validate": "on_epoch_end",
    "on_train_batch_end": "on_batch_end",
    "after_batch": "on_batch_end",
    "after_step": "on_batch_end",
    "on_save_checkpoint": "state",
    "on_load_checkpoint": "restore",
    "on_epoch_ends": "on_epoch_end",
    "on_epch_end": "on_epoch_end",
    "onEpochEnd": "on_epoch_end",
    "epoch_end": "on_epoch_end",
    "mesure": "measure",
    "states": "state",
    "restor": "restore",
}
NOWHERE = ["on_batch_begin", "on_train_batch_start", "before_batch", "on_test_batch_end", "on_predict_end"]
NOWHERE += ["on_grad_computed", "on_before_optimizer_step", "on_validation_batch_end", "after_backward", "on_click"]
HELPERS = ["_on_train_end", "draw", "start", "store", "stats", "epoch", "best", "one_more"]


def make(name, base=Callback):
    return type("Mine", (base,), {name: lambda self, *args: None})


@pytest.mark.parametrize(("name", "ours"), THERE.items())
def test_the_right_method_is_named(name, ours):
    with pytest.raises(
        TypeError, match=rf"^Mine.{name}: fit calls no method of this name; write {ours}\(self.* _{name}$"
    ):
        make(name)
    make(ours)
    make(f"_{name}")


@pytest.mark.parametrize("name", NOWHERE)
def test_of_what_there_is_none_all_are_named(name):
    with pytest.raises(
        TypeError, match=f"Mine.{name}: .* on_fit_begin, on_epoch_begin, on_batch_end, measure, .*restore"
    ):
        make(name)


@pytest.mark.parametrize("name", HELPERS)
def test_helpers_may_be_called_anything_else(name):
    assert make(name).may_change_model


def test_the_arguments_are_named():
    with pytest.raises(TypeError, match=r"on_epoch_end\(self, model, values\)"):
        make("after_epoch")
    with pytest.raises(TypeError, match=r"on_batch_end\(self, model, batch, n_batches, loss\)"):
        make("after_batch")


def test_only_the_methods_that_the_class_defines_are_looked_at():
    class Window:
        def on_click(self): ...

    class Mine(Window, Callback):
        on_top = True
        before: type = int

        @property
        def after(self):
            return 1

        @staticmethod
        def on_paper(): ...

        def on_epoch_end(self, model, values): ...

    with pytest.raises(TypeError, match="on_train_end"):
        make("on_train_end", Mine)
