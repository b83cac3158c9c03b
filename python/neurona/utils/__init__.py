"""Tools beside the network itself: `neurona.utils.data`, weights of classes."""

from __future__ import annotations

from . import data
from .class_weight import compute_class_weight

__all__ = ["compute_class_weight", "data"]
