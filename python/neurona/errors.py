"""Exceptions of neurona's own."""

from __future__ import annotations


class FormatError(ValueError):
    """The content of a file breaks the rules of its format.

    The message names the file and the place in it: `model.safetensors: tensor 'fc1.weight': ...`
    or `images.idx: offset 4: ...`.
    """
