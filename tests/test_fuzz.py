"""No arguments crash a kernel: thousands of calls with arguments that mostly make no sense."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import kernels

Parameter = tuple[str, bool]  # name, whether it has a default

PAIRS = ("stride", "padding", "dilation", "kernel_size", "output_padding")
SIZES = ("input_size", "output_size", "size")
COUNTS = ("groups", "step", "n", "axis", "dim", "ignore_index")
INTEGERS = (0, 1, 2, 3, 4, 5, -1, 7, 100, 10**6, 2**31, 2**62, 2**63, 2**70, -(2**63))
FLOATS = (0.0, 0.1, 0.5, 0.9, 1.0, 1e-5, -1.0, 1e300, float("nan"), float("inf"))
WORDS = ("mean", "sum", "none", "relu", "same", "naive", "direct", "narrow", "im2col", "x", "")
DTYPES = ("i8", "i4", "u1", "f8", "f2", "?", "i2")


def signatures() -> dict[str, list[Parameter]]:
    """The kernels' parameters, from the stub."""
    stub = Path(neurona.__file__).with_name("_core.pyi")
    found: dict[str, list[Parameter]] = {}
    for node in ast.parse(stub.read_text()).body:
        if not isinstance(node, ast.FunctionDef) or node.name not in kernels.__all__:
            continue
        plain = node.args.args
        required = len(plain) - len(node.args.defaults)
        found[node.name] = [(a.arg, i >= required) for i, a in enumerate(plain)] + [
            (a.arg, default is not None)
            for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        ]
    return found


def any_array(choose: random.Random, numbers: np.random.Generator) -> np.ndarray:
    """Of any rank, with sizes of 0 and 1, odd strides, other types, NaN, read-only."""
    shape = [
        choose.choice((0, 1, 1, 2, 3, 4, 5, 8, 17)) for _ in range(choose.choice((0, 1, 2, 4)))
    ]
    array = np.array(numbers.standard_normal(shape), dtype=np.float32)
    if choose.random() < 0.2:
        array = np.array(4 * array, dtype=choose.choice(DTYPES))
    if array.ndim and choose.random() < 0.2:
        array = array[::-1]
    if choose.random() < 0.2:
        array = array.T
    if array.dtype == np.float32 and array.size and choose.random() < 0.1:
        array.flat[0] = choose.choice(FLOATS)
    if choose.random() < 0.1:
        array.flags.writeable = False
    return array


def any_value(choose: random.Random, numbers: np.random.Generator) -> Any:
    """Anything at all."""
    makers = (
        lambda: any_array(choose, numbers),
        lambda: any_array(choose, numbers),
        lambda: choose.choice(INTEGERS),
        lambda: choose.choice(FLOATS),
        lambda: tuple(choose.choice(INTEGERS[:8]) for _ in range(choose.choice((0, 1, 2, 3)))),
        lambda: [any_array(choose, numbers) for _ in range(choose.choice((0, 1, 2)))],
        lambda: choose.choice((None, True, False, object(), {}, b"x", 1j, np.float32(2))),
        lambda: choose.choice(WORDS),
    )
    return choose.choice(makers)()


def likely_value(name: str, choose: random.Random, numbers: np.random.Generator) -> Any:
    """What a parameter of this name might get, so that some calls reach the kernels."""
    if choose.random() < 0.25:
        return any_value(choose, numbers)
    if name in PAIRS:
        return choose.choice((1, 2, 3, (1, 1), (2, 1), (0, 1), 0, -1, (1, 2), 5))
    if name in SIZES:
        return (choose.choice((1, 3, 5, 8)), choose.choice((1, 3, 5, 8)))
    if name in COUNTS:
        return choose.choice((1, 2, 3, 4, 0, -1, -100))
    if name == "variant":
        return choose.choice((None, *WORDS))
    if name in ("x", "dy", "y", "weight"):
        extent = choose.choice((1, 3, 5, 9))
        shape = (choose.choice((0, 1, 2)), choose.choice((1, 2, 4)), extent, extent)
        return numbers.standard_normal(shape if choose.random() < 0.7 else (3, 4)).astype("f")
    return any_value(choose, numbers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_senseless_arguments_raise_value_or_type_errors(seed: int) -> None:
    choose, numbers = random.Random(seed), np.random.default_rng(seed)
    parameters = signatures()
    reached = 0
    for name in choose.choices(sorted(parameters), k=2500):
        arguments = {
            parameter: likely_value(parameter, choose, numbers)
            for parameter, optional in parameters[name]
            if not optional or choose.random() < 0.5
        }
        try:
            getattr(kernels, name)(**arguments)
            reached += 1
        except (ValueError, TypeError, MemoryError):
            pass
    # Enough calls made sense for the others to be near misses.
    assert reached > 100
