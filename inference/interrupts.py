"""Signals as requests: a loop that is asked to stop does so at a safe point."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Notes Ctrl-C, SIGTERM and SIGHUP while the `with` block runs, instead of dying in a step.

    A Ctrl-C after any of them raises `KeyboardInterrupt` at once. A signal that was ignored (as
    under `nohup`) stays ignored. Handlers belong to the main thread: elsewhere nothing is noted.

    Attributes:
        requested: Number of the first signal that came, or None; to be looked at between steps.
            The exit code that shells expect is 128 plus this number.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # None is a handler that was not set from Python and could not be put back.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
