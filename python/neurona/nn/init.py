"""Initialisers: fill a tensor in place, without recording anything for backward, and return it.

fan_in = shape[1] * receptive field and fan_out = shape[0] * receptive field, the receptive field
being the product of the remaining sizes. The random ones draw from `generator`, or from the default
one that `neurona.manual_seed` sets.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import no_grad
from ..random import Generator
from ..tensor import Tensor
from .quantile import normal_quantile

_FIXED_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the signal's size through `nonlinearity`: sqrt(2 / (1 + slope^2)) for
    leaky_relu, 5/3 for tanh.

    >>> from neurona.nn import init
    >>> round(init.calculate_gain("relu"), 6)
    1.414214
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise TypeError(f"calculate_gain: param must be a number, got {type(slope).__name__}")
        return math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in _FIXED_GAINS:
        allowed = ", ".join([*_FIXED_GAINS, "leaky_relu"])
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {allowed}, got {nonlinearity!r}"
        )
    return _FIXED_GAINS[nonlinearity]


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"{op}: tensor must have at least 2 axes, got shape {tuple(shape)}")
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill from the uniform distribution on [a, b).

    >>> import neurona
    >>> from neurona.nn import init
    >>> bool((abs(init.uniform_(neurona.empty(3, 5), -0.1, 0.1).numpy()) <= 0.1).all())
    True
    """
    if not a <= b:
        raise ValueError(f"uniform_: a must be <= b, got a={a}, b={b}")
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill from the normal distribution N(mean, std^2)."""
    if not std >= 0.0:
        raise ValueError(f"normal_: std must be >= 0, got {std}")
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def _assign(tensor: Tensor, values: np.ndarray) -> Tensor:
    with no_grad():
        return tensor.copy_(Tensor(values.astype(tensor.data.dtype)))


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity: a Linear layer then passes as many inputs as it can."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: tensor must have 2 axes, got shape {tuple(tensor.shape)}")
    return _assign(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution weight (K, C/groups, ...) so that the layer passes as many channels as it
    can, in each group.
    """
    shape = tensor.shape
    if len(shape) not in (3, 4, 5):
        raise ValueError(f"dirac_: tensor must have 3, 4 or 5 axes, got shape {tuple(shape)}")
    if groups < 1 or shape[0] % groups:
        raise ValueError(f"dirac_: groups must divide the {shape[0]} output channels, got {groups}")
    per_group = shape[0] // groups
    values = np.zeros(shape)
    centre = tuple(size // 2 for size in shape[2:])
    for group in range(groups):
        for channel in range(min(per_group, shape[1])):
            values[(group * per_group + channel, channel, *centre)] = 1.0
    return _assign(tensor, values)


def _xavier_std(op: str, tensor: Tensor, gain: float, mode: str) -> float:
    fan_in, fan_out = _fans(op, tensor)
    fans = {"fan_avg": (fan_in + fan_out) / 2, "fan_in": fan_in, "fan_out": fan_out}
    if mode not in fans:
        raise ValueError(f"{op}: mode must be one of {', '.join(fans)}, got {mode!r}")
    return gain / math.sqrt(fans[mode])


def xavier_uniform_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
    *,
    mode: str = "fan_avg",
) -> Tensor:
    """Uniform in +-gain sqrt(3 / fan), fan = (fan_in + fan_out) / 2, fan_in or fan_out by `mode`
    (Glorot & Bengio 2010).
    """
    bound = math.sqrt(3.0) * _xavier_std("xavier_uniform_", tensor, gain, mode)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
    *,
    mode: str = "fan_avg",
) -> Tensor:
    """Normal with variance gain^2 / fan, fan = (fan_in + fan_out) / 2, fan_in or fan_out by `mode`
    (Glorot & Bengio 2010).

    `mode="fan_in"` gives variance 1 / fan_in, as `lecun_normal_` does.
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain, mode), generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Normal with variance 1 / fan_in (LeCun et al. 1998).

    >>> import neurona
    >>> from neurona.nn import init
    >>> weight = init.lecun_normal_(neurona.empty(64, 400))
    >>> round(float(weight.numpy().std()), 2)
    0.05
    """
    return normal_(tensor, 0.0, _xavier_std("lecun_normal_", tensor, 1.0, "fan_in"), generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{op}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(op, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in +-gain sqrt(3 / fan); `a` is the slope of leaky_relu (He et al. 2015)."""
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain^2 / fan; `a` is the slope of leaky_relu (He et al. 2015)."""
    return normal_(
        tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator
    )


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal N(mean, std^2) restricted to [a, b], by inversion of the distribution function."""
    if not std > 0.0:
        raise ValueError(f"trunc_normal_: std must be > 0, got {std}")
    if not a < b:
        raise ValueError(f"trunc_normal_: a must be < b, got a={a}, b={b}")
    low, high = (
        0.5 * (1.0 + math.erf((limit - mean) / (std * math.sqrt(2.0)))) for limit in (a, b)
    )
    draw = uniform_(Tensor(np.empty(tensor.shape, tensor.data.dtype)), 0.0, 1.0, generator).data
    values = mean + std * normal_quantile(low + (high - low) * draw.astype(np.float64))
    return _assign(tensor, np.clip(values, a, b))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill so that the rows (or the columns, if fewer) are orthogonal with length `gain` (Saxe et
    al. 2013).

    Axes after the first count as columns.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: tensor must have at least 2 axes, got shape {tuple(tensor.shape)}"
        )
    if tensor.data.size == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.data.size // rows
    draw = normal_(Tensor(np.empty((rows, columns), tensor.data.dtype)), 0.0, 1.0, generator).data
    tall = draw.astype(np.float64) if rows >= columns else draw.T.astype(np.float64)
    q, r = np.linalg.qr(tall)
    q *= np.where(
        np.diag(r) < 0.0, -1.0, 1.0
    )  # makes the draw uniform over the orthogonal matrices
    return _assign(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))
