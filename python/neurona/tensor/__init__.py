"""Tensor: its fields (`base`), the families of its methods, and the class (`tensor`)."""

from __future__ import annotations

from .tensor import Tensor

__all__ = ["Tensor"]
