"""What the tests of nn and optim share: reproducible fillings and the numbers measured with
PyTorch.

`nn_numbers.json` holds results of PyTorch 2.13 (CPU, float32) on the same fillings, so that no test
needs PyTorch itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import compare
from neurona import Tensor, nn

NUMBERS: dict[str, Any] = json.loads((Path(__file__).parent / "nn_numbers.json").read_text())
EPS = float(np.finfo(np.float32).eps)


def fill(shape: tuple[int, ...], phase: float) -> np.ndarray:
    """Values in [-0.5, 0.5] without pattern along any axis: sin(0.7 i + phase) / 2."""
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + phase) * 0.5).astype(np.float32).reshape(shape)


def fill_parameters(module: nn.Module) -> nn.Module:
    """Parameter i gets the filling with phase i."""
    for phase, parameter in enumerate(module.parameters()):
        parameter.data[...] = fill(tuple(parameter.shape), phase)
    return module


def assert_close(actual: Any, expected: Any, bound: float, what: str = "nn") -> None:
    """`compare.assert_close` for tensors, lists and numbers as well."""
    given, wanted = (
        np.asarray(value.data if isinstance(value, Tensor) else value)
        for value in (actual, expected)
    )
    compare.assert_close(given, wanted, bound, what=what)
