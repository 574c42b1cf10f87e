"""A method that is called in other libraries, or that is spelt wrong, would never be called: it is refused when its
class is made, and the error names the right one.
"""

import inspect
import re
from collections.abc import Collection

__all__: list[str] = []

_NEAR = 0.85  # of `difflib`; a helper called start or store is no near miss of state and restore
_EVENTS = {"batch": {"batch", "step", "iteration"}, "epoch": {"epoch"}, "fit": {"fit", "train", "training"}}
_TIMES = {"begin": {"begin", "start", "before"}, "end": {"end", "after", "finish"}}
_VALIDATION = {"validation", "validate", "val"}
_NOT_HERE = {"test", "predict", "backward", "optimizer", "zero", "closure"}  # of these, fit tells nothing


def require_hooks(cls: type, base: type, hooks: Collection[str]) -> None:
    """Look whether the public functions that a class defines are hooks of `base`, or are clearly none.

    Raises
    ------
    TypeError
        A name begins like a hook's, or nearly is one's.
    """
    for name, value in vars(cls).items():
        if name in hooks and inspect.isfunction(value):
            _require_arguments(cls, base, name, inspect.signature(value))
        if name in hooks or not inspect.isfunction(value):
            continue
        words = _words(name)
        near = None if name.startswith("_") else _near(name, hooks)
        if near is None and words[0] not in ("on", "before", "after"):
            continue
        meant = _meant(words, hooks) or near
        if meant is None:
            advice = f"the methods that it calls are {', '.join(hooks)}"
        else:
            advice = f"write {_call(base, meant)}"
        raise TypeError(
            f"{cls.__name__}.{name}: fit calls no method of this name; {advice}. The name of a helper begins with an "
            f"underscore: _{name}"
        )


def _require_arguments(cls: type, base: type, hook: str, given: inspect.Signature) -> None:
    """Raise TypeError unless a hook takes what it is called with; Keras's takes as many, and others."""
    expected = inspect.signature(getattr(base, hook)).parameters
    try:
        given.bind(*expected)
        fits = not {"logs", "epoch", "net", "trainer"} & given.parameters.keys() - expected.keys()
    except TypeError:
        fits = False
    if not fits:
        raise TypeError(f"{cls.__name__}.{hook}{given}: fit calls {_call(base, hook)}")


def _words(name: str) -> list[str]:
    """``on_train_end`` and ``onTrainEnd`` as on, train, end."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")


def _meant(words: list[str], hooks: Collection[str]) -> str | None:
    """The hook for what Keras, skorch, Lightning or fastai call by these words."""
    if "checkpoint" in words:  # Lightning's
        return "state" if "save" in words else "restore"
    event = next((event for event, names in _EVENTS.items() if names & set(words)), None)
    time = next((time for time, names in _TIMES.items() if names & set(words)), None)
    if _VALIDATION & set(words):  # whose values come with the epoch
        event = None if event == "batch" else "epoch"
    name = f"on_{event}_{time}"
    return name if name in hooks and not _NOT_HERE & set(words) else None


def _near(name: str, hooks: Collection[str]) -> str | None:
    """The hook that is spelt nearly so."""
    import difflib  # only now, since `import xdfn` should be quick

    spelt = {hook.replace("_", ""): hook for hook in hooks}
    near = difflib.get_close_matches(name.replace("_", "").lower(), spelt, 1, _NEAR)
    return spelt[near[0]] if near else None


def _call(base: type, hook: str) -> str:
    """``on_epoch_end(self, model, values)``."""
    return f"{hook}({', '.join(inspect.signature(getattr(base, hook)).parameters)})"
