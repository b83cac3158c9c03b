"""Checks shared by the models."""

from __future__ import annotations


def check_image(model: str, image_size: int, smallest: int) -> None:
    """Raises `TypeError` or `ValueError` unless `image_size` is an int of at least `smallest`."""
    if not isinstance(image_size, int) or isinstance(image_size, bool):
        raise TypeError(f"{model}: image_size must be an int, got {type(image_size).__name__}")
    if image_size < smallest:
        raise ValueError(f"{model}: image_size must be >= {smallest}, got {image_size}")
