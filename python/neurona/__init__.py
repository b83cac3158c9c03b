"""neurona: neural networks on hand-written kernels, with PyTorch's names.

>>> import neurona
>>> x = neurona.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import autograd
from .autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .backends import cpu as _cpu
from .backends import cuda as _device
from .backends import use_backend, verify
from .creation import (
    arange,
    cat,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_tensor,
    linspace,
    matmul,
    maximum,
    minimum,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    stack,
    tensor,
    where,
    zeros,
    zeros_like,
)
from .random import Generator, default_generator, get_rng_state, manual_seed, set_rng_state
from .tensor import Tensor

__version__ = "0.1.0"

float32 = _np.dtype(_np.float32)
float64 = _np.dtype(_np.float64)
int8 = _np.dtype(_np.int8)
int16 = _np.dtype(_np.int16)
int32 = _np.dtype(_np.int32)
int64 = _np.dtype(_np.int64)
uint8 = _np.dtype(_np.uint8)
bool_ = _np.dtype(_np.bool_)

# Loaded when first used, so that `import neurona` costs little more than NumPy.
_SUBMODULES = (
    "backends", "callbacks", "checkpoint", "cli", "creation", "cuda", "datasets", "errors", "files",
    "folding", "freezing", "functions", "graph", "history", "inference", "kernels",
    "metric_learning", "metrics", "models", "nn", "optim", "plot", "probes", "random", "receptive",
    "recording", "reference", "safetensors", "sklearn", "trainer", "transforms", "utils",
)  # fmt: skip
_LAZY_NAMES = {
    "FormatError": "errors",
    "History": "history",
    "Trainer": "trainer",
    "fold_batch_norm": "folding",
    "freeze": "freezing",
    "mc_predict": "inference",
    "receptive_field": "receptive",
    "record": "recording",
    "summary": "summary",
}

if TYPE_CHECKING:
    from . import (
        callbacks,
        cuda,
        datasets,
        graph,
        kernels,
        metric_learning,
        metrics,
        models,
        nn,
        optim,
        plot,
        probes,
        reference,
        transforms,
        utils,
    )
    from .errors import FormatError
    from .folding import fold_batch_norm
    from .freezing import freeze
    from .history import History
    from .inference import mc_predict
    from .receptive import receptive_field
    from .recording import record
    from .summary import summary
    from .trainer import Trainer

__all__ = [
    "FormatError", "Generator", "History", "Tensor", "Trainer", "__version__", "arange", "autograd",
    "bool_", "callbacks", "cat", "cuda", "datasets", "default_generator", "empty", "empty_cache",
    "empty_like", "enable_grad", "eye", "float32", "float64", "fold_batch_norm", "freeze",
    "from_dlpack", "from_numpy", "full", "full_like", "get_conv_precision",
    "get_float32_matmul_precision", "get_num_threads", "get_rng_state", "graph", "int16", "int32",
    "int64", "int8", "is_grad_enabled", "is_tensor", "kernels", "linspace", "manual_seed", "matmul",
    "maximum", "mc_predict", "metric_learning", "metrics", "minimum", "models", "nn", "no_grad",
    "ones", "ones_like", "optim", "plot", "probes", "rand", "randint", "randn", "randperm",
    "receptive_field", "record", "reference", "set_conv_precision", "set_float32_matmul_precision",
    "set_flush_denormal", "set_grad_enabled", "set_num_threads", "set_rng_state", "stack",
    "summary", "tensor", "transforms", "uint8", "use_backend", "utils", "verify", "where", "zeros",
    "zeros_like",
]  # fmt: skip


def set_num_threads(threads: int) -> None:
    """Let the kernels use `threads` threads; results do not depend on it. TypeError, ValueError.

    >>> import neurona
    >>> neurona.set_num_threads(1)
    >>> neurona.get_num_threads()
    1
    """
    _cpu.core.set_num_threads(threads)


def get_num_threads() -> int:
    """The number of threads that the kernels use."""
    return _cpu.core.num_threads()


def set_conv_precision(precision: str) -> None:
    """How 3x3 and 5x5 convolutions of stride 1 are computed: "fast" (the default) or "exact".

    "fast" lets those with enough channels, 16 at least, run by Winograd's F(4x4, 3x3) or F(2x2,
    5x5): 25 or 36 % of the products, and an error of one to three times that of a plain sum, below
    1e-6 of the output's standard deviation. A NaN or an infinity then reaches the whole tile of 4x4
    or 2x2 outputs. "exact" keeps to plain sums.
    ValueError for another name. Source: Lavin and Gray, Fast algorithms for convolutional neural
    networks (2016).

    >>> import neurona
    >>> neurona.set_conv_precision("exact")
    >>> neurona.get_conv_precision()
    'exact'
    >>> neurona.set_conv_precision("fast")
    """
    if precision not in ("fast", "exact"):
        raise ValueError(
            f'set_conv_precision: precision must be "fast" or "exact", got {precision!r}'
        )
    _cpu.core.set_fast_convolutions(precision == "fast")


def get_conv_precision() -> str:
    """How 3x3 and 5x5 convolutions are computed, "fast" or "exact"; see `set_conv_precision`."""
    return "fast" if _cpu.core.fast_convolutions() else "exact"


def set_float32_matmul_precision(precision: str) -> None:
    """How products and convolutions of float32 tensors are computed on a CUDA device: "highest"
    (the default), "high" or "medium", as in PyTorch, where it concerns products alone.

    "highest" computes in float32. "high" rounds the elements to TF32 (10 bits of mantissa, an error
    of about 3e-4 of the result's norm) and "medium" to bfloat16 (7 bits, about 3e-3) on their way
    to the tensor cores, which add up in float32. The CPU always computes in float32. ValueError for
    another name.

    >>> import neurona
    >>> neurona.set_float32_matmul_precision("high")
    >>> neurona.get_float32_matmul_precision()
    'high'
    >>> neurona.set_float32_matmul_precision("highest")
    """
    _device.set_product_precision(precision)


def get_float32_matmul_precision() -> str:
    """How products are computed on a CUDA device; see `set_float32_matmul_precision`."""
    return _device.product_precision


def set_flush_denormal(mode: bool) -> bool:
    """Let every op treat numbers below 1.2e-38 as zero, which a processor handles 100 times slower.

    Off by default, as in PyTorch: momentum and moments that decay towards zero stay exact, and slow
    down long training once they get that small. The bits of a result do not depend on the number of
    threads either way, and nothing but neurona's ops is affected. Returns False where the processor
    cannot. TypeError for anything but a bool.

    >>> import neurona
    >>> neurona.set_flush_denormal(True)
    True
    >>> neurona.tensor([1e-39]) * 1
    tensor([0.])
    >>> neurona.set_flush_denormal(False)
    True
    """
    return bool(_cpu.core.set_flush_denormal(mode))


def empty_cache() -> None:
    """Give memory that freed arrays left in the cache back to the system."""
    _cpu.core.empty_cache()


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        value = getattr(importlib.import_module(f".{_LAZY_NAMES[name]}", __name__), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'neurona' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY_NAMES})
