"""What ops that only move memory ask of it: their bytes, each once, as nvcc compiles them.

Whether four floats are stored by one instruction or by four shows in no result. The PTX machine
counts sectors, of 32 bytes, that each instruction of a warp reaches; what is beyond the arrays'
bytes is work for L2, which is not much faster than the memory behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
from neurona import Tensor, optim

pytestmark = pytest.mark.skipif(
    not emulated.ON_PTX_MACHINE, reason="NEURONA_TEST_DEVICE=ptx counts sectors"
)

COUNT = 1 << 16  # floats
SECTOR = 32
WIDE = (1024, 2048)
# What may come on top of the bytes: of the sums of so few columns what blocks leave for each other;
# of a product the few rows, or the short ones, which every block reads. Threads of depthwise
# convolutions have two columns and read the two beside them too, from L1, and of a band of 20 rows
# two more.
DEPTHWISE = ("depthwise", "its image", "its filters")
MORE = {"sum of columns": 0.1, "product": 0.08, **dict.fromkeys(DEPTHWISE, 0.6)}
LITTLE = 0.01


@pytest.fixture
def sectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Counts those of a call's launches, after a first one has prepared what it needs."""
    device = emulated.device_module()

    def count(call: Callable[[], Any]) -> int:
        call()
        device.synchronize()
        file = tmp_path / "counts"
        with monkeypatch.context() as patched:
            patched.setenv("NEURONA_PTX_MACHINE_COUNTS", str(file))
            call()
            device.synchronize()
        launches = [json.loads(line) for line in file.read_text().splitlines()]
        file.unlink()
        return sum(launch["load_sectors"][0] + launch["store_sectors"][0] for launch in launches)

    return count


def on_device(*shape: int) -> Any:
    rng = np.random.default_rng(len(shape))
    return emulated.device_module().to_device(rng.uniform(0.1, 0.9, shape).astype(np.float32))


def planes(x: Any) -> Any:
    """The array that lies so as channels-last images (n, c, h, w)."""
    return np.moveaxis(x, 3, 1)


# name: (the shapes of its arrays, how many times as many floats as the first has are read and
# written, the call on the device's ops)
OPS: dict[str, tuple[list[tuple[int, ...]], float, Callable[..., Any]]] = {
    "relu": ([(COUNT,)], 2, lambda o, x: o.relu_forward(x)),
    "gelu_backward": ([(COUNT,)] * 2, 3, lambda o, dy, x: o.gelu_backward(dy, x)),
    "add": ([(COUNT,)] * 2, 3, lambda o, a, b: o.add(a, b)),
    "dropout": ([(COUNT,)], 2, lambda o, x: o.dropout(x, 0.5, 1, 0)),
    "random_normal": ([(COUNT,)], 1, lambda o, x: o.random_normal(x.shape, 1, 0)),
    "sum": ([(COUNT,)], 1, lambda o, x: o.sum(x)),
    "sum of columns": ([(256, 256)], 1, lambda o, x: o.sum(x, 0)),
    "softmax": ([(64, 1024)], 2, lambda o, x: o.softmax_forward(x, 1)),
    "softmax of 8": ([(8192, 8)], 2, lambda o, x: o.softmax_forward(x, 1)),
    "softmax_backward": ([(64, 1024)] * 2, 3, lambda o, dy, y: o.softmax_backward(dy, y, 1)),
    "loss": ([(COUNT,)] * 2, 3, lambda o, x, y: o.pointwise_loss_forward(x, y, "mse")),
    "max_pool": ([(2, 32, 32, 32)], 1.3125, lambda o, x: o.max_pool2d_forward(x, 2)),
    "avg_pool": ([(2, 32, 32, 32)], 1.25, lambda o, x: o.avg_pool2d_forward(x, 2)),
    "copy": ([(COUNT,)], 2, lambda o, x: o.copied(x, "C")),
    "copy of columns": ([(128, 512)], 1, lambda o, x: o.copied(x[:, 256:], "C")),
    "transposition": ([(256, 256)], 2, lambda o, x: o.copied(x.T, "C")),
    "to channels-last": ([(2, 32, 32, 32)], 2, lambda o, x: o.reorder(x, True)),
    "product along": ([WIDE, (1, 2048)], 1, lambda o, w, x: o.gemm(x, w, trans_b=True)),
    "product across": ([WIDE, (1, 1024)], 1, lambda o, w, x: o.gemm(x, w)),
    "product along of a column": ([WIDE, (2048, 1)], 1, lambda o, w, x: o.gemm(w, x)),
    "product across of a column": ([WIDE, (1024, 1)], 1,
                                   lambda o, w, x: o.gemm(w, x, trans_a=True)),
    "product across of 4 rows": ([WIDE, (1024, 4)], 1,
                                 lambda o, w, x: o.gemm(x, w, trans_a=True)),
    "product of 4 depths": ([(1536, 4), (4, 1536)], 384, lambda o, a, b: o.gemm(a, b)),
    "images of 3 channels": ([(4, 3, 64, 64)], 2, lambda o, x: o.reorder(x, True)),
    "depthwise": (
        [(1, 1280, 16, 32), (32, 1, 3, 3)], 2,
        lambda o, x, w: o.conv2d_forward(planes(x), w, padding=1, groups=32),
    ),
    "its image": (
        [(1, 1280, 16, 32), (32, 1, 3, 3)], 2,
        lambda o, dy, w: o.conv2d_backward_data(planes(dy), w, (1280, 16), padding=1, groups=32),
    ),
    "its filters": (
        [(1, 1280, 16, 32)] * 2, 2,
        lambda o, dy, x: o.conv2d_backward_weight(
            planes(dy), planes(x), (3, 3), padding=1, groups=32, with_bias=False
        ),
    ),
    "planes of 3 channels": ([(4, 64, 64, 3)], 2, lambda o, x: o.reorder(planes(x), False)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_each_byte_once(name: str, sectors: Callable[..., int]) -> None:
    device = emulated.device_module()
    shapes, times, call = OPS[name]
    arrays = [on_device(*shape) for shape in shapes]
    if name.endswith("_pool"):
        arrays = [device.reorder(array, True) for array in arrays]
    least = times * np.prod(shapes[0]) * 4 / SECTOR
    more = MORE["product"] if name.startswith("product") else MORE.get(name, LITTLE)
    most = (1 + more) * least
    assert least <= sectors(lambda: call(device, *arrays)) <= most


# name: (class, options, arrays that a step reads and writes, the gradient aside)
OPTIMIZERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "sgd": ("SGD", {"lr": 0.1}, 1),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}, 2),
    "adam": ("Adam", {}, 3),
    "rmsprop": ("RMSprop", {}, 2),
    "adagrad": ("Adagrad", {}, 2),
    "adadelta": ("Adadelta", {}, 3),
    "adamax": ("Adamax", {}, 3),
    "nadam": ("NAdam", {}, 3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_reads_and_writes_once(name: str, sectors: Callable[..., int]) -> None:
    kind, options, arrays = OPTIMIZERS[name]
    emulated.device_module()
    parameter = Tensor(np.ones(COUNT, np.float32)).to("cuda").requires_grad_()
    parameter.grad = neurona.ones(COUNT, device="cuda")
    optimizer = getattr(optim, kind)([parameter], **options)
    least = (2 * arrays + 1) * COUNT * 4 // SECTOR
    assert least <= sectors(optimizer.step) <= (1 + LITTLE) * least
