"""Ctrl-C that waits for the end of a training step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class DelayedInterrupt:
    """Context in which the first signal is only noted in `received`; the second one leaves at once.

    The second SIGINT raises `KeyboardInterrupt`, another second signal `SystemExit(128 + number)`.
    Handlers that a program has set itself are left alone, and so is everything outside the main
    thread, where Python does not deliver signals.

    >>> with DelayedInterrupt() as interrupt:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupt.received == signal.SIGINT
    True
    """

    def __init__(self, signals: tuple[int, ...] = (signal.SIGINT,)) -> None:
        self.signals = signals
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> DelayedInterrupt:
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                current = signal.getsignal(number)
                if current in (signal.default_int_handler, signal.SIG_DFL):
                    self._previous[number] = current
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)
