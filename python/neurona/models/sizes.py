"""Checks shared by the models."""

from __future__ import annotations

from collections.abc import Iterable


def check_image(model: str, image_size: int, smallest: int) -> None:
    """Raises `TypeError` or `ValueError` unless `image_size` is an int of at least `smallest`."""
    check_int(model, "image_size", image_size, smallest)


def check_int(model: str, name: str, value: int, smallest: int) -> None:
    """Raises `TypeError` or `ValueError` unless `value` is an int of at least `smallest`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{model}: {name} must be an int, got {type(value).__name__}")
    if value < smallest:
        raise ValueError(f"{model}: {name} must be >= {smallest}, got {value}")


def check_choice(model: str, name: str, value: str, choices: Iterable[str]) -> None:
    """Raises `ValueError` unless `value` is one of `choices`."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{model}: {name} must be one of {', '.join(known)}, got {value!r}")
