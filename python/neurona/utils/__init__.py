"""Tools beside the network itself: `neurona.utils.data`, and encodings of labels and images."""

from __future__ import annotations

from . import data
from .encoding import preprocess, to_categorical

__all__ = ["data", "preprocess", "to_categorical"]
