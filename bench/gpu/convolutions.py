"""Rows of convolutions: dense, transposed and depthwise ones, in all three directions."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import place
from .case import (
    Case,
    Rows,
    here,
    images,
    in_both_layouts,
    normals,
    on_host,
    precision,
    relative,
    row,
    torch_here,
    with_packed,
)
from .products import BOUNDS
from .timing import Work

ROWS: Rows = {}


class Convolution(NamedTuple):
    """Sizes of x (N, C, H, W) and of K filters of R x R taps."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    transposed: bool = False


CONVOLUTIONS = {
    "lenet_c1": Convolution(128, 1, 28, 28, 6, 5, 1, 2),
    "lenet_c2": Convolution(128, 6, 14, 14, 16, 5),
    "stem7x7": Convolution(32, 3, 224, 224, 64, 7, 2, 3),
    "res2_3x3": Convolution(32, 64, 56, 56, 64, 3, 1, 1),
    "res3_3x3": Convolution(32, 128, 28, 28, 128, 3, 1, 1),
    "res4_3x3": Convolution(32, 256, 14, 14, 256, 3, 1, 1),
    "res5_3x3": Convolution(32, 512, 7, 7, 512, 3, 1, 1),
    "res3_down": Convolution(32, 64, 56, 56, 128, 3, 2, 1),
    "res2_1x1": Convolution(32, 64, 56, 56, 256, 1),
    "transposed_4x4": Convolution(32, 128, 32, 32, 64, 4, 2, 1, transposed=True),
    "depthwise_3x3": Convolution(32, 256, 56, 56, 256, 3, 1, 1, groups=256),
    "depthwise_3x3_down": Convolution(32, 128, 112, 112, 128, 3, 2, 1, groups=128),
    "depthwise_5x5": Convolution(32, 240, 28, 28, 240, 5, 1, 2, groups=240),
    "depthwise_7x7": Convolution(32, 96, 56, 56, 96, 7, 1, 3, groups=96),
}


def small(shape: Convolution) -> Convolution:
    """Its shape in a rehearsal: of few channels with the 512 pixels that their kernels want."""
    limits = {"n": 6, "c": 20, "k": 20, "h": 14, "w": 14, "groups": 20}
    return shape._replace(**{key: place.size(getattr(shape, key), v) for key, v in limits.items()})


def neurona_works(shape: Convolution, x: Any, dy: Any, weight: Any) -> dict[str, Work]:
    """The three passes."""
    from neurona.backends import cuda

    options = {"stride": shape.stride, "padding": shape.padding, "groups": shape.groups}
    name = "conv_transpose2d" if shape.transposed else "conv2d"
    forward, data, by_weight = (
        getattr(cuda, f"{name}_{pass_}")
        for pass_ in ("forward", "backward_data", "backward_weight")
    )
    sizes = () if shape.transposed else ((shape.h, shape.w),)
    taps = (shape.r, shape.r)
    return {
        "forward": lambda: forward(x, weight, **options),
        "backward_data": lambda: data(dy, weight, *sizes, **options),
        "backward_weight": lambda: by_weight(dy, x, taps, with_bias=False, **options)[0],
    }


def torch_work(shape: Convolution, direction: str, x: Any, dy: Any, weight: Any) -> Work:
    """One pass, below autograd."""
    import torch

    pair = [shape.stride] * 2, [shape.padding] * 2, [1, 1], shape.transposed, [0, 0], shape.groups
    if direction == "forward":
        return lambda: torch.ops.aten.convolution(x, weight, None, *pair)
    mask = (direction == "backward_data", direction == "backward_weight", False)
    return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, *pair, mask)[
        mask.index(True)
    ]


def convolution(name: str, direction: str, at: str) -> Case:
    """One pass against cuDNN through PyTorch, in both memory formats."""
    import torch

    shape = small(CONVOLUTIONS[name])
    n, c, h, w, k, r = shape[:6]
    p = (h + 2 * shape.padding - r) // shape.stride + 1
    if shape.transposed:
        p = (h - 1) * shape.stride - 2 * shape.padding + r
    x, dy = images(n, c, h, w), images(n, k, p, p)
    channels = (c, k) if shape.transposed else (k, c // shape.groups)
    weight = normals(*channels, r, r)
    ours = neurona_works(shape, *[here(v) for v in (x, dy, weight)])[direction]
    precision(at)
    # In float64: of float32 cuDNN may take Winograd's algorithm, whose errors would count as ours.
    doubles = [torch_here(v).double() for v in (x, dy, weight)]
    exact = on_host(torch_work(shape, direction, *doubles)())
    del doubles
    dtype = torch.bfloat16 if at == "medium" else torch.float32
    works = with_packed(at, ours)
    for label, form in (("torch", torch.contiguous_format), ("torch_nhwc", torch.channels_last)):
        theirs = [torch_here(v).to(dtype).to(memory_format=form) for v in (x, dy, weight)]
        works[label] = torch_work(shape, direction, *theirs)
    pixels = n * h * w if shape.transposed else n * p * p
    # Of one filter per channel, memory bounds the time: its row says what is moved in a second.
    flops = 0.0 if shape.groups == c > 1 else 2.0 * pixels * k * c // shape.groups * r * r
    moved = 4.0 * (x.size + dy.size + weight.size)
    note = f"cuDNN, benchmark=True, allow_tf32={torch.backends.cudnn.allow_tf32}, {dtype}"
    error = relative(ours().numpy(), exact)
    return Case(works, flops, moved, error, max(BOUNDS[at], 1e-5), note)


for _name, _shape in CONVOLUTIONS.items():
    for _direction in ("forward", "backward_data", "backward_weight"):
        for _precision in ("highest",) if _shape.groups > 1 else BOUNDS:
            row(ROWS, f"{_name}_{_direction}_{_precision}")(
                lambda a=_name, d=_direction, p=_precision: convolution(a, d, p)
            )


@row(ROWS, "lenet_c2_backward_highest")
def gradients_at_once() -> Case:
    """All gradients of a small layer, which are one launch."""
    import torch

    from neurona.backends import cuda

    shape = small(CONVOLUTIONS["lenet_c2"])
    n, c, h, w, k, r = shape[:6]
    x, dy, weight = images(n, c, h, w), images(n, k, h - r + 1, w - r + 1), normals(k, c, r, r)
    ours = [here(v) for v in (dy, x, weight)]
    precision("highest")

    def theirs(dtype: Any, form: Any) -> Work:
        arrays = [torch_here(v).to(dtype).to(memory_format=form) for v in (dy, x, weight)]
        pair = [1, 1], [0, 0], [1, 1], False, [0, 0], 1
        return lambda: torch.ops.aten.convolution_backward(*arrays, [k], *pair, (True,) * 3)

    plain = torch.contiguous_format
    exact = [on_host(gradient) for gradient in theirs(torch.float64, plain)()]
    got = [gradient.numpy() for gradient in cuda.conv2d_backward(*ours)]
    error = max(map(relative, got, exact))
    works = {
        "neurona": lambda: cuda.conv2d_backward(*ours),
        "torch": theirs(torch.float32, plain),
        "torch_nhwc": theirs(torch.float32, torch.channels_last),
    }
    moved = 4.0 * (2 * x.size + dy.size + 2 * weight.size + k)
    return Case(works, 4.0 * dy.size * c * r * r, moved, error, 1e-5)


def with_bias_and_relu(name: str, at: str) -> Case:
    """The whole op of a layer, as PyTorch has it by default and channels-last."""
    import torch

    from neurona.backends import cuda

    shape = small(CONVOLUTIONS[name])
    x, weight = images(*shape[:4]), normals(shape.k, shape.c, shape.r, shape.r)
    bias = normals(shape.k)
    ours = [here(v) for v in (x, weight, bias)]
    options = {"stride": shape.stride, "padding": shape.padding}
    precision(at)
    dtype = torch.bfloat16 if at == "medium" else torch.float32

    def theirs(put: Any) -> Work:
        tx, tw, tb = (put(v).to(dtype) for v in (x, weight, bias))
        return lambda: torch.relu(torch.conv2d(tx, tw, tb, shape.stride, shape.padding))

    p = (shape.h + 2 * shape.padding - shape.r) // shape.stride + 1
    y_size = shape.n * shape.k * p * p
    return in_both_layouts(
        lambda: cuda.conv2d_forward(*ours, **options, activation="relu"),
        theirs,
        4.0 * (x.size + weight.size + y_size),
        max(2 * BOUNDS[at], 1e-5),
        flops=2.0 * y_size * shape.c * shape.r**2,
        note=f"{dtype}",
    )


for _name in ("res2_3x3", "res4_3x3"):
    for _precision in BOUNDS:
        row(ROWS, f"{_name}_bias_relu_{_precision}")(
            lambda a=_name, p=_precision: with_bias_and_relu(a, p)
        )


@row(ROWS, "bias_gradient_64x64x112x112")
def bias_gradient() -> Case:
    """The sum of dy over all pixels, for each channel."""
    from neurona.backends import cuda

    dy = images(place.size(64, 2), place.size(64, 12), place.size(112, 7), place.size(112, 9)) + 1
    ours = here(dy)

    def theirs(put: Any) -> Work:
        tensor = put(dy)
        return lambda: tensor.sum((0, 2, 3))

    return in_both_layouts(lambda: cuda.conv2d_backward_bias(ours), theirs, 4.0 * dy.size)
