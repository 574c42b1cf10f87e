import pytest
from fits import Do

from xdfn import DFN, Checkpoint, CSVLog, EarlyStopping


def test_the_best_checkpoint_is_kept(data, tmp_path):
    X, y = data
    model = DFN(8, 2, optimizer="adam(lr=0.3)", init_w="he_normal", seed=0)
    path = tmp_path / "best.npz"
    more = {"validation_fraction": 0.3, "metrics": "accuracy", "verbose": None}
    model.fit(X, y, 12, 16, callbacks=[Checkpoint(str(path), "val_accuracy")], **more)
    best = model.history["val_accuracy"]
    saved = DFN.load(path)
    assert saved.history["val_accuracy"][-1] == max(best)
    assert len(saved.history["loss"]) == best.index(max(best)) + 1


@pytest.mark.parametrize("crash", range(2, 9))
def test_a_checkpoint_saves_what_the_others_remember_of_the_epoch(data, tmp_path, crash):
    """Whatever the order in which they are given."""
    X, y = data
    path, log = str(tmp_path / "m.npz"), str(tmp_path / "l.csv")
    callbacks = lambda: [Checkpoint(path), CSVLog(log), EarlyStopping("val_loss", patience=3)]  # noqa: E731
    model = lambda: DFN(8, 2, optimizer="adam(lr=0.3)", init_w="he_normal", seed=0)  # noqa: E731
    more = {"batch_size": 16, "verbose": None, "validation_fraction": 0.3}
    whole = model().fit(X, y, 40, callbacks=callbacks(), **more)
    with open(log) as file:
        lines = file.read()

    def stop(model):
        if len(model.history["loss"]) == crash:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(X, y, 40, callbacks=[*callbacks(), Do(stop, "on_epoch_begin")], **more)
    resumed = DFN.load(path)
    resumed.fit(X, y, 40 - len(resumed.history["loss"]), callbacks=callbacks(), **more)
    assert resumed.history == whole.history
    assert (resumed.predict_proba(X) == whole.predict_proba(X)).all()
    with open(log) as file:
        assert file.read() == lines
