"""Tools beside the network itself: `neurona.utils.data`, encodings of labels and images, weights of
classes.
"""

from __future__ import annotations

from . import data
from .class_weight import compute_class_weight
from .preprocessing import preprocess, to_categorical

__all__ = ["compute_class_weight", "data", "preprocess", "to_categorical"]
