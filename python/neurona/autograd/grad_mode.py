"""Whether operations are recorded for backward: a switch of its own for every thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode(threading.local):
    enabled = True


mode = _GradMode()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded for backward."""
    return mode.enabled


class set_grad_enabled:
    """Switch recording on or off, for the rest of the thread or for a `with` block.

    >>> import neurona
    >>> x = neurona.ones(2, requires_grad=True)
    >>> with neurona.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, enabled: bool) -> None:
        self._previous = mode.enabled
        mode.enabled = bool(enabled)

    def __enter__(self) -> set_grad_enabled:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mode.enabled = self._previous


class _GradContext:
    """A context and decorator that sets the mode on entry and restores it on exit."""

    _wanted = True

    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)

    def __enter__(self) -> None:
        self._previous = mode.enabled
        mode.enabled = self._wanted

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mode.enabled = self._previous

    def __call__(self, function: F) -> F:
        context = type(self)

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with context():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]


class no_grad(_GradContext):
    """Record nothing for backward, in a `with` block or in a decorated function.

    >>> import neurona
    >>> x = neurona.ones(2, requires_grad=True)
    >>> with neurona.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _wanted = False


class enable_grad(_GradContext):
    """Record again inside a `no_grad` block.

    >>> import neurona
    >>> x = neurona.ones(2, requires_grad=True)
    >>> with neurona.no_grad(), neurona.enable_grad():
    ...     (x * 2).requires_grad
    True
    """
