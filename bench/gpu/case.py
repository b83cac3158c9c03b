"""What a row is, and what rows are made of.

A row is a function that gives a Case: the works to time, "neurona" and its peers, what they compute
in flops and bytes, and the error of neurona's result beside its bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import place
from .timing import Work


class Case(NamedTuple):
    """A row, ready to be timed."""

    works: dict[str, Work]
    flops: float
    bytes: float
    error: float
    bound: float
    note: str = ""


Rows = dict[str, Callable[[], Case]]


def row(rows: Rows, name: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """Enter a function into a list of rows."""

    def enter(make: Callable[[], Case]) -> Callable[[], Case]:
        assert name not in rows, name
        rows[name] = make
        return make

    return enter


def normals(*shape: int) -> np.ndarray:
    """Random numbers: products of zeros draw less power and run faster. Large arrays repeat."""
    count = int(np.prod(shape))
    block = np.random.default_rng(sum(shape)).standard_normal(min(count, 1 << 22), np.float32)
    return np.resize(block, count).reshape(shape)


def images(n: int, c: int, h: int, w: int) -> np.ndarray:
    """Random images (n, c, h, w) in channels-last memory, as neurona's kernels leave them."""
    return np.moveaxis(normals(n, h, w, c), -1, 1)


def here(array: np.ndarray) -> Any:
    """On the device, for neurona."""
    from neurona.backends import DeviceArray

    return DeviceArray.from_host(array)


def torch_here(array: np.ndarray) -> Any:
    """On the device, for PyTorch, in C order."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(place.torch_device())


def precision(name: str) -> None:
    """Both libraries at "highest" (float32), "high" (TF32) or "medium"; PyTorch has the latter by
    bfloat16 tensors or autocast. cuDNN takes the quickest of its algorithms, in every row.
    """
    import torch

    from neurona.backends import cuda

    cuda.extension().set_product_precision(name)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "high"
    torch.backends.cudnn.benchmark = True


def with_packed(name: str, work: Work) -> dict[str, Work]:
    """A product of neurona's; where the tensor cores of sm_90 take rounded operands, also the
    product alone, of operands that were packed before: as PyTorch has them, given bfloat16 tensors.
    """
    from neurona.backends import cuda

    extension = cuda.extension()
    if name == "highest" or extension.device_capability() // 10 != 9:
        return {"neurona": work}
    extension.forget_packed()  # of earlier rows, whose memory may have come back

    def alone() -> Any:
        extension.use_packed_again(True)
        try:
            return work()
        finally:
            extension.use_packed_again(False)

    packing, whole = first(alone()).numpy(), first(alone()).numpy()
    assert np.array_equal(packing, whole), "packed operands give another product"
    return {"neurona": work, "neurona_packed": alone}


def relative(got: np.ndarray, exact: np.ndarray) -> float:
    """Frobenius error as a part of the exact result's norm; infinite for another shape."""
    if got.shape != exact.shape:
        return float("inf")
    norm = np.linalg.norm(exact.astype(np.float64))
    return float(np.linalg.norm(got - exact.astype(np.float64)) / max(norm, 1e-30))


def first(result: Any) -> Any:
    """What is compared of several results."""
    return result[0] if isinstance(result, tuple) else result


def on_host(result: Any) -> np.ndarray:
    """PyTorch's result, in float64."""
    return np.asarray(first(result).detach().double().cpu().numpy())


def against(
    ours: Work, theirs: Work, bytes_moved: float, bound: float = 1e-6, *, flops: float = 0.0,
    more: dict[str, Work] | None = None, note: str = "",
) -> Case:  # fmt: skip
    """A case whose peer's result is the truth; `more` are other forms of PyTorch."""
    error = relative(first(ours()).numpy(), on_host(theirs()))
    works = {"neurona": ours, "torch": theirs, **(more or {})}
    return Case(works, flops, bytes_moved, error, bound, note)


def in_both_layouts(
    ours: Work, theirs: Callable[[Callable[[np.ndarray], Any]], Work], bytes_moved: float,
    bound: float = 1e-6, **options: Any,
) -> Case:  # fmt: skip
    """A case of images: PyTorch's are contiguous, its default, or "torch_nhwc", channels-last.

    `theirs` makes a work with the function that puts images on the device.
    """
    import torch

    def channels_last(array: np.ndarray) -> Any:
        tensor = torch_here(array)
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    more = {"torch_nhwc": theirs(channels_last)}
    return against(ours, theirs(torch_here), bytes_moved, bound, more=more, **options)


def gradient(function: Callable[..., Any], dy: Any, *inputs: Any) -> Work:
    """PyTorch's backward pass alone, by whichever kernels its forward pass leads to."""
    import torch

    for tensor in inputs:
        tensor.requires_grad_()
    y = function(*inputs)
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def with_compiled(function: Callable[..., Any], make: Callable[[Any], Work]) -> dict[str, Work]:
    """The work that `make` gives for a function, and for what torch.compile makes of it."""
    import torch

    works = {"torch": make(function)}
    if not place.rehearsal:
        works["torch_compiled"] = make(torch.compile(function))
    return works
