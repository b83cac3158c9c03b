"""What all rules of `verify` are written in: the unit roundoff of float32, and their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

U = 2.0**-24
TINY = 2.0**-126
Arguments = dict[str, Any]
Results = tuple[Any, ...]
Rule = Callable[[Arguments, Results], tuple[Any, ...]]
