"""Exceptions of neurona's own, and the message for a misspelt keyword."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class FormatError(ValueError):
    """The content of a file breaks the rules of its format.

    The message names the file and the place in it: `model.safetensors: tensor 'fc1.weight': ...`
    or `images.idx: offset 4: ...`.
    """


def suggest_keywords(op: str) -> Callable[[F], F]:
    """A decorator: a keyword that the function does not take raises TypeError with the nearest one.

    >>> @suggest_keywords("train")
    ... def train(lr=0.1): ...
    >>> train(Ir=0.2)
    Traceback (most recent call last):
    ...
    TypeError: train: keyword must be one of lr, got 'Ir'; did you mean 'lr'?
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        names = [
            parameter.name
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and parameter.name != "self"
        ]
        known = frozenset(names)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if not (takes_any or kwargs.keys() <= known):
                wrong = next(name for name in kwargs if name not in known)
                raise TypeError(
                    f"{op}: keyword must be one of {', '.join(names)}, got {wrong!r}"
                    f"{did_you_mean(wrong, names)}"
                )
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate


def did_you_mean(word: str, known: list[str]) -> str:
    """ "; did you mean 'lr'?" for the nearest known word, or nothing if none is near."""
    from difflib import get_close_matches

    # A capital I for a small l and one wrong letter of two are common slips: hence 0.5.
    close = get_close_matches(word, known, 1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
