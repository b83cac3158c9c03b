"""The velocity form of momentum, with lr inside the velocity.

    v = momentum v - lr grad L(p);                 p += v     (Polyak 1964)
    v = momentum v - lr grad L(p + momentum v);    p += v     (Nesterov 1983)

While lr is constant the first equals SGD's usual form, and the second holds the point p where SGD
with `nesterov=True` holds the point p + momentum v.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..tensor import Tensor
from .composed import check_arrays
from .optimizer import Group

State = dict[Tensor, dict[str, Any]]


def velocity_step(
    group: Group, params: list[Tensor], grads: list[np.ndarray], state: State
) -> None:
    """Update parameters and velocities in place; for Nesterov `grads` belong to p + momentum v."""
    for param, grad in zip(params, grads, strict=True):
        check_arrays("SGD", param, grad)
    for param, grad in zip(params, grads, strict=True):
        own = state.setdefault(param, {})
        if own.get("velocity") is None:
            own["velocity"] = Tensor(np.zeros_like(param.data))
        p, v = param.data, own["velocity"].data
        g = -grad if group["maximize"] else grad
        if group["weight_decay"] != 0:
            point = p + group["momentum"] * v if group["nesterov"] else p
            g = g + group["weight_decay"] * point
        v *= group["momentum"]
        v -= group["lr"] * g
        p += v


@contextmanager
def looking_ahead(groups: list[Group], state: State) -> Iterator[None]:
    """Hold the parameters of `groups` at p + momentum v, and put the same bits back afterwards."""
    kept: list[tuple[Tensor, np.ndarray]] = []
    try:
        for group in groups:
            for param in group["params"]:
                velocity = state.get(param, {}).get("velocity")
                if velocity is not None:
                    kept.append((param, param.data.copy()))
                    param.data[...] += group["momentum"] * velocity.data
                    param._version[0] += 1
        yield
    finally:
        for param, values in kept:
            param.data[...] = values
            param._version[0] += 1
