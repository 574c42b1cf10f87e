"""A model is carried elsewhere: to another device or library, into a file and back, into a copy."""

import copy
import os
from typing import Self

from xdfn import checkpoint
from xdfn.backend import resolve_place, to_place
from xdfn.core.tree import Tree, tree_map
from xdfn.inspect.summary import Described
from xdfn.nn.layers.base import LayerBase
from xdfn.train.session import Session


class Portable(Described):
    """The methods of `DFN` that move, save and copy it."""

    layers: dict[str, LayerBase]
    history: dict[str, list[float]]
    _session: Session | None
    stop_training: bool

    def to(self, target: object) -> Self:
        """Move the model to the library and device of `target`: an array, a device, or a string such as ``"cupy:1"``.

        Before its first fit there is nothing to move: the arrays passed to that decide.

        Examples
        --------
        >>> from xdfn import DFN
        >>> model = DFN(200, 10).to("numpy")
        """
        where = resolve_place(target)
        self._memory.averages = self._memory.valid_averages(self.layers)
        moved = [
            tree_map(lambda x: to_place(x, where), (dict(layer.params), layer.buffers))
            for layer in self.layers.values()
        ]
        self._memory.to(where)
        for layer, (params, buffers) in zip(self.layers.values(), moved, strict=True):
            self._memory.leave(layer, params, buffers)
        return self

    def to_numpy(self) -> Self:
        """Move the model to NumPy, to serve where it was not trained."""
        return self.to("numpy")

    def snapshot(self) -> dict[str, Tree]:
        """Copies of all that training has learned: parameters, buffers, averages, and the optimizers' memory."""
        return self._memory.snapshot(self.layers)

    def put_back(self, snapshot: dict[str, Tree]) -> None:
        """Give the model copies of what a snapshot of it holds; the counts of its steps and epochs stay."""
        self._memory.put_back(snapshot, self.layers)

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = True) -> None:
        """Write the model to one `.npz` file without pickle: `load` goes on exactly where this model stands.

        Parameters
        ----------
        path : str or path
        optimizer : bool
            False leaves out what the optimizer remembers, two thirds of an Adam's file: for models that are to
            answer. One that is trained further all the same begins with an optimizer without memory.

        Raises
        ------
        ValueError
            A part of your own has no registered name; `xdfn.register` gives it one.
        """
        config, memory = self.config(), self._memory.copy()
        memory.averages = memory.valid_averages(config.layers)
        if self._session is not None:
            memory.callbacks, memory.stopped = self._session.remembered(), self.stop_training
        if optimizer:
            memory.slots = memory.valid_slots(config.layers)
        else:
            memory.slots, memory.callbacks = {}, {}
        checkpoint.save(path, checkpoint.Saved(self.given(), config.layers, config.loss, memory, self.history))

    @classmethod
    def load(cls, path: str | os.PathLike[str], like: object = None) -> Self:
        """Read a model that `save` wrote, onto the library and device of `like` (as for `to`); NumPy without one.

        Raises
        ------
        ValueError
            The file is not a saved model, or names a part that is not registered here.
        """
        saved = checkpoint.load(path, resolve_place("numpy" if like is None else like))
        with checkpoint.damage(os.fsdecode(path)):
            return cls._from_saved(saved)

    @classmethod
    def _from_saved(cls, saved: checkpoint.Saved) -> Self:
        """The model that a file holds."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, object]:
        if self._session is not None:  # a fit that goes on stays with the original
            self._session.publish()
        kept = {name: value for name, value in vars(self).items() if name != "_fitting"}
        return {**kept, "_session": None}

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # with layers of its own, or training one model would move the other

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        new = memo[id(self)] = object.__new__(type(self))
        vars(new).update({name: copy.deepcopy(value, memo) for name, value in self.__getstate__().items()})
        return new
