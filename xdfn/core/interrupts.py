"""Ctrl-C is to end a fit, and to leave the model as it was after an epoch. So for the length of a fit the signal is
noted, and raised at once only where it can tear nothing: in the steps of training, and in the code of callbacks.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


class Interrupts:
    """Takes the place of the handler of SIGINT; a context manager. Elsewhere than in the main thread it does nothing.

    Attributes
    ----------
    allowed : context manager
        Within it an interrupt is raised at once. What was noted before is raised at its beginning.
    """

    def __init__(self) -> None:
        self.allowed = _Allowed(self)
        self._raises, self._noted = False, False
        self._before: Handler | None = None

    def __enter__(self) -> "Interrupts":
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._noted = True
        if self._raises:
            self.raise_noted(frame)

    def raise_noted(self, frame: FrameType | None = None) -> None:
        """Do now what the handler of before does, if an interrupt was noted: it raises KeyboardInterrupt."""
        if self._noted and self._before is not None:
            self._noted = self._raises = False  # the way out may not be interrupted
            self._before(signal.SIGINT, frame)

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            if error[0] is None:
                self.raise_noted()


class _Allowed:
    """Where an interrupt may be raised."""

    def __init__(self, interrupts: Interrupts) -> None:
        self.interrupts = interrupts

    def __enter__(self) -> None:
        interrupts = self.interrupts
        interrupts._raises = True
        if interrupts._noted:
            interrupts.raise_noted()

    def __exit__(self, *error: object) -> None:
        self.interrupts._raises = False
