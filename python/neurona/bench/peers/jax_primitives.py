"""JAX with the benchmark's threads, its layout of arrays, and what rows and networks share.

Import ``jax`` from here: its threads are settled while it is imported.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from .inputs import Array, pair

Tensors = dict[str, Any]


def _limit_cores(threads: int) -> None:
    """Has to come before JAX: XLA's pool has a thread for each core that the process may use."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


_limit_cores(int(os.environ["NEURONA_BENCH_THREADS"]))
# A machine with an accelerator would otherwise be compared with its own CPU.
os.environ["JAX_PLATFORMS"] = "cpu"
# Untyped, because type checkers run where jax need not be installed.
jax: Any = importlib.import_module("jax")
jnp, lax = jax.numpy, jax.lax

# On the CPU XLA convolves pixels that lie together faster: res2's forward pass takes 31 ms so and
# 43 ms with NCHW, its gradient of the data 32 ms and 45 ms.
LAYOUT = ("NHWC", "HWIO", "NHWC")
IMAGE_AXES = (0, 2, 3, 1)
FILTER_AXES = (2, 3, 1, 0)


def _axes(name: str) -> tuple[int, ...]:
    return FILTER_AXES if name.endswith("weight") or name == "dw" else IMAGE_AXES


def to_jax(name: str, array: Array) -> Any:
    """A copy in XLA's memory, four-dimensional arrays in its layout."""
    return jnp.array(array.transpose(_axes(name)) if array.ndim == 4 else array)


def to_numpy(name: str, value: Any) -> Array:
    """The array in PyTorch's layout."""
    array = np.asarray(value)
    return array.transpose(np.argsort(_axes(name))) if array.ndim == 4 else array


def convolve(x: Any, weight: Any, stride: Any, padding: Any, groups: int = 1) -> Any:
    return lax.conv_general_dilated(
        x,
        weight,
        pair(stride),
        [(before, before) for before in pair(padding)],
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )


def max_pool2d(x: Any, size: int, stride: int, padding: int) -> Any:
    borders = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    window, steps = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, steps, borders)


def cross_entropy(logits: Any, labels: Any) -> Any:
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
