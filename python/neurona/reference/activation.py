"""Activations and their gradients, element by element on arrays of any shape.

The gradient is taken from the output y where that is enough (relu, sigmoid, tanh) and from the
input x elsewhere. NaN comes out where NaN goes in.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import _checks as check

ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu")

SQRT_HALF = math.sqrt(0.5)
# The tanh form of gelu (Hendrycks and Gimpel 2016) uses sqrt(2/pi) (x + 0.044715 x^3).
TANH_SCALE = math.sqrt(2.0 / math.pi)
TANH_CUBIC = 0.044715


def check_activation(op: str, activation: str | None) -> None:
    """Raise unless `activation` is the name of a fused activation or None."""
    check.choice(op, "activation", activation, ACTIVATIONS)


def apply_activation(activation: str | None, y: np.ndarray) -> np.ndarray:
    """Apply a fused activation, with its default parameters."""
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "relu": relu_forward,
        "leaky_relu": leaky_relu_forward,
        "sigmoid": sigmoid_forward,
        "tanh": tanh_forward,
        "gelu": gelu_forward,
        "silu": silu_forward,
    }
    return y if activation is None else functions[activation](y)


def _pair_of_arrays(
    op: str, dy: np.ndarray, name: str, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Check the two arguments of a backward function: one dtype, one shape."""
    dy, value = check.array(op, "dy", dy), check.array(op, name, value)
    check.same_dtype(op, name, value, "dy", dy)
    check.shape(op, name, value, dy.shape)
    return dy, value


def relu_forward(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0) (Nair and Hinton 2010). Raises TypeError for a dtype that is not floating.

    >>> relu_forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    x = check.array("relu", "x", x)
    return np.where(x <= 0, x.dtype.type(0), x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dx = dy where y > 0 and 0 elsewhere; y is the output. Raises TypeError, ValueError.

    >>> relu_backward(np.array([3.0, 4.0]), np.array([0.0, 2.0]))
    array([0., 4.])
    """
    dy, y = _pair_of_arrays("relu_backward", dy, "y", y)
    return np.where(y <= 0, dy.dtype.type(0), dy)


@np.errstate(all="ignore")
def leaky_relu_forward(x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    """Return x where x > 0 and negative_slope x elsewhere. Raises TypeError, ValueError.

    >>> leaky_relu_forward(np.array([-1.0, 2.0]), 0.5)
    array([-0.5,  2. ])
    """
    x = check.array("leaky_relu", "x", x)
    slope = x.dtype.type(check.number("leaky_relu", "negative_slope", negative_slope))
    return np.where(x > 0, x, x * slope)


@np.errstate(all="ignore")
def leaky_relu_backward(dy: np.ndarray, x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    """Return dx = dy where x > 0 and negative_slope dy elsewhere. Raises TypeError, ValueError.

    >>> leaky_relu_backward(np.array([3.0, 4.0]), np.array([-1.0, 2.0]), 0.5)
    array([1.5, 4. ])
    """
    dy, x = _pair_of_arrays("leaky_relu_backward", dy, "x", x)
    slope = x.dtype.type(check.number("leaky_relu_backward", "negative_slope", negative_slope))
    return np.where(x > 0, dy, dy * slope)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)); an overflowing exp gives the right limit, 0."""
    return 1 / (1 + np.exp(-x))


@np.errstate(all="ignore")
def sigmoid_forward(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)). Raises TypeError for a dtype that is not floating.

    >>> sigmoid_forward(np.array([0.0]))
    array([0.5])
    """
    return np.asarray(_sigmoid(check.array("sigmoid", "x", x)))


@np.errstate(all="ignore")
def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dx = dy y (1 - y); y is the output. Raises TypeError, ValueError.

    >>> sigmoid_backward(np.array([4.0]), np.array([0.5]))
    array([1.])
    """
    dy, y = _pair_of_arrays("sigmoid_backward", dy, "y", y)
    return np.asarray(dy * y * (1 - y))


@np.errstate(all="ignore")
def tanh_forward(x: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent of x. Raises TypeError for a dtype that is not floating.

    >>> tanh_forward(np.array([0.0]))
    array([0.])
    """
    return np.asarray(np.tanh(check.array("tanh", "x", x)))


@np.errstate(all="ignore")
def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dx = dy (1 - y^2); y is the output. Raises TypeError, ValueError.

    >>> tanh_backward(np.array([4.0]), np.array([0.5]))
    array([3.])
    """
    dy, y = _pair_of_arrays("tanh_backward", dy, "y", y)
    return np.asarray(dy * (1 - y * y))


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """P(standard normal <= x); erfc keeps the relative accuracy of the left tail."""
    cdf = [0.5 * math.erfc(-SQRT_HALF * v) for v in x.ravel().tolist()]
    return np.array(cdf, dtype=np.float64).reshape(x.shape).astype(x.dtype)


def _tanh_argument(x: np.ndarray) -> np.ndarray:
    return TANH_SCALE * (x + TANH_CUBIC * x * x * x)


@np.errstate(all="ignore")
def gelu_forward(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """Return x P(standard normal <= x), or its tanh form (Hendrycks and Gimpel 2016). Raises
    TypeError, ValueError.

    >>> gelu_forward(np.array([0.0, 10.0]))
    array([ 0., 10.])
    """
    x = check.array("gelu", "x", x)
    check.choice("gelu", "approximate", approximate, ("none", "tanh"))
    if approximate == "none":
        return np.asarray(x * _normal_cdf(x))
    return np.asarray(0.5 * x * (1 + np.tanh(_tanh_argument(x))))


@np.errstate(all="ignore")
def gelu_backward(dy: np.ndarray, x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """Return dx = dy gelu'(x). Raises TypeError, ValueError.

    >>> gelu_backward(np.array([2.0]), np.array([0.0]))
    array([1.])
    """
    dy, x = _pair_of_arrays("gelu_backward", dy, "x", x)
    check.choice("gelu_backward", "approximate", approximate, ("none", "tanh"))
    if approximate == "none":
        density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        return np.asarray(dy * (_normal_cdf(x) + x * density))
    t = np.tanh(_tanh_argument(x))
    slope = TANH_SCALE * (1 + 3 * TANH_CUBIC * x * x)
    return np.asarray(dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope))


@np.errstate(all="ignore")
def silu_forward(x: np.ndarray) -> np.ndarray:
    """Return x sigmoid(x). Raises TypeError for a dtype that is not floating.

    >>> silu_forward(np.array([0.0]))
    array([0.])
    """
    x = check.array("silu", "x", x)
    return np.asarray(x * _sigmoid(x))


@np.errstate(all="ignore")
def silu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dx = dy s (1 + x (1 - s)) with s = sigmoid(x). Raises TypeError, ValueError.

    >>> silu_backward(np.array([2.0]), np.array([0.0]))
    array([1.])
    """
    dy, x = _pair_of_arrays("silu_backward", dy, "x", x)
    s = _sigmoid(x)
    return np.asarray(dy * s * (1 + x * (1 - s)))


@np.errstate(all="ignore")
def elu_forward(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return x where x > 0 and alpha (e^x - 1) elsewhere (Clevert et al. 2016). Raises TypeError,
    ValueError.

    >>> elu_forward(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """
    x = check.array("elu", "x", x)
    scale = x.dtype.type(check.number("elu", "alpha", alpha))
    return np.where(x > 0, x, scale * np.expm1(x))


@np.errstate(all="ignore")
def elu_backward(dy: np.ndarray, x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return dx = dy where x > 0 and dy alpha e^x elsewhere. Raises TypeError, ValueError.

    >>> elu_backward(np.array([3.0, 4.0]), np.array([0.0, 2.0]), 0.5)
    array([1.5, 4. ])
    """
    dy, x = _pair_of_arrays("elu_backward", dy, "x", x)
    scale = x.dtype.type(check.number("elu_backward", "alpha", alpha))
    return np.where(x > 0, dy, dy * (scale * np.exp(x)))


def _line(op: str, x: np.ndarray, slope: float, shift: float) -> np.ndarray:
    line = x * x.dtype.type(check.positive(op, "slope", slope))
    return np.asarray(line + x.dtype.type(check.number(op, "shift", shift)))


@np.errstate(all="ignore")
def hard_sigmoid_forward(x: np.ndarray, slope: float = 0.5, shift: float = 0.5) -> np.ndarray:
    """Return min(max(slope x + shift, 0), 1). Raises TypeError, ValueError.

    >>> hard_sigmoid_forward(np.array([-3.0, 0.5, 3.0]))
    array([0.  , 0.75, 1.  ])
    """
    x = check.array("hard_sigmoid", "x", x)
    return np.asarray(np.clip(_line("hard_sigmoid", x, slope, shift), 0, 1))


@np.errstate(all="ignore")
def hard_sigmoid_backward(
    dy: np.ndarray, x: np.ndarray, slope: float = 0.5, shift: float = 0.5
) -> np.ndarray:
    """Return dx = slope dy where 0 < slope x + shift < 1 and 0 elsewhere. Raises TypeError,
    ValueError.

    >>> hard_sigmoid_backward(np.array([4.0, 4.0]), np.array([0.5, 1.0]))
    array([2., 0.])
    """
    op = "hard_sigmoid_backward"
    dy, x = _pair_of_arrays(op, dy, "x", x)
    line = _line(op, x, slope, shift)
    return np.where((line > 0) & (line < 1), dy * dy.dtype.type(slope), dy.dtype.type(0))


def _softplus_parameters(
    op: str, x: np.ndarray, beta: float, threshold: float
) -> tuple[np.floating, np.ndarray, np.ndarray]:
    """beta, beta x, and where beta x > threshold."""
    factor = x.dtype.type(check.positive(op, "beta", beta))
    scaled = np.asarray(x * factor)
    return factor, scaled, scaled > x.dtype.type(check.number(op, "threshold", threshold))


@np.errstate(all="ignore")
def softplus_forward(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """Return ln(1 + e^(beta x)) / beta, and x where beta x > threshold. Raises TypeError,
    ValueError.

    >>> softplus_forward(np.array([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    x = check.array("softplus", "x", x)
    factor, scaled, far = _softplus_parameters("softplus", x, beta, threshold)
    # e^-|z| cannot overflow, whatever the threshold.
    y = (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / factor
    return np.where(far, x, y)


@np.errstate(all="ignore")
def softplus_backward(
    dy: np.ndarray, x: np.ndarray, beta: float = 1.0, threshold: float = 20.0
) -> np.ndarray:
    """Return dx = dy sigmoid(beta x), and dy where beta x > threshold. Raises TypeError,
    ValueError.

    >>> softplus_backward(np.array([4.0, 4.0]), np.array([0.0, 1000.0]))
    array([2., 4.])
    """
    dy, x = _pair_of_arrays("softplus_backward", dy, "x", x)
    _, scaled, far = _softplus_parameters("softplus_backward", x, beta, threshold)
    return np.where(far, dy, dy * _sigmoid(scaled))
