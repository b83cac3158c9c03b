"""NumPy as a peer: matrix products through its BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from .inputs import build_inputs
from .worker import Request, Task, Unsupported

NAME = "numpy"


def versions() -> dict[str, str]:
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}"}


def extra(command: str, request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"{NAME}: command must be a known one, got {command!r}")


def prepare(request: Request) -> Task:
    """``matmul`` for gemm and linear; the other ops have no kernel in NumPy."""
    p = request.parameters
    if request.op not in ("gemm", "linear"):
        raise Unsupported("no kernel of its own")
    arrays = build_inputs(request.name, request.op, request.direction, p, request.seed)
    if request.op == "gemm":
        a = arrays["a"].T if p["trans_a"] else arrays["a"]
        b = arrays["b"].T if p["trans_b"] else arrays["b"]
        return Task(lambda: a @ b, lambda y: {"y": y})
    if request.direction == "F":
        x, weight, bias = arrays["x"], arrays["weight"].T, arrays.get("bias", np.float32(0))
        return Task(lambda: x @ weight + bias, lambda y: {"y": y})
    if request.direction == "D":
        dy, weight = arrays["dy"], arrays["weight"]
        return Task(lambda: dy @ weight, lambda dx: {"dx": dx})
    dy, x = arrays["dy"].T, arrays["x"]
    return Task(lambda: (dy @ x, dy.sum(axis=1)), lambda grads: {"dw": grads[0], "db": grads[1]})
