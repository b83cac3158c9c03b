"""Tools beside the network itself: `neurona.utils.data`."""

from __future__ import annotations

from . import data

__all__ = ["data"]
