"""When a run must end, on a machine that is lent for minutes."""

from __future__ import annotations

import time


class Deadline:
    """`minutes` from now, or never.

    >>> Deadline(None).shorten(150.0)
    150.0
    >>> Deadline(0.0).has_passed()
    True
    """

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def has_passed(self) -> bool:
        """Whether nothing more is to begin."""
        return self._end is not None and time.monotonic() >= self._end

    def shorten(self, seconds: float) -> float:
        """A limit that ends no later; at least 0."""
        return (
            seconds if self._end is None else max(0.0, min(seconds, self._end - time.monotonic()))
        )
