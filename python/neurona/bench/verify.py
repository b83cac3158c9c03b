"""Is a worker's result right? Asked before anything is timed; a wrong row is refused.

Truth is ``neurona.reference`` in float64. An op may differ from it by c * u * S, with u = 2^-24 and
S the same op on the absolute inputs; a network's step by a small part of the size of its update.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

import neurona
from neurona import reference

from .peers.inputs import Array, Arrays, build_inputs, upsample_taps
from .peers.steps import optimizer_task
from .rows import Row

UNIT = 2.0**-24
# Of the three losses' norm. Rounding gives up to 0.5e-4 (ResNet-18 on 8 images, else below 1e-5), a
# step without its momentum 3e-2.
LOSS_TOLERANCE = 3e-4
# Of an update's norm. Where rounding flips one ReLU or one maximum of a million, a gradient of
# random labels moves by about the root of that part, 1e-3 (ResNet-18: up to 8e-3); a wrong kernel
# moves it by its own size.
UPDATE_TOLERANCE = 2e-2


class Expected(NamedTuple):
    """The truth of one output, and the error allowed for each element (0-d: for its norm)."""

    value: Array
    bound: Array


def _sum_factor(terms: float) -> float:
    """c of a sum of ``terms`` products of random numbers in an unknown order."""
    return float(2 * np.sqrt(terms) + 8)


def _absolute(*arrays: Array | None) -> list[Array | None]:
    return [None if array is None else np.abs(array) for array in arrays]


def _sum_of_products(op: Callable[..., Array], terms: int, *arrays: Array | None) -> Expected:
    """An op that sums ``terms`` products for each element."""
    return Expected(op(*arrays), _sum_factor(terms) * UNIT * op(*_absolute(*arrays)))


def _gemm(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters

    def op(*arrays: Array) -> Array:
        return reference.gemm(*arrays, trans_a=bool(p["trans_a"]), trans_b=bool(p["trans_b"]))

    return {"y": _sum_of_products(op, p["K"], t["a"], t["b"])}


def _weight_and_bias(
    op: Callable[..., Any], t: Arrays, terms: int, scale_of: Callable[[Array], Array]
) -> dict[str, Expected]:
    """dw and, where the op gives one, db; ``scale_of`` maps S of dw to what its bound follows."""
    (dw, db), (dw_scale, db_scale) = op(t["dy"], t["x"]), op(abs(t["dy"]), abs(t["x"]))
    expected = {"dw": Expected(dw, _sum_factor(terms) * UNIT * scale_of(dw_scale))}
    if db is not None:
        expected["db"] = Expected(db, _sum_factor(terms) * UNIT * db_scale)
    return expected


def _linear(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    if row.direction == "F":
        arrays = t["x"], t["weight"], t.get("bias")
        return {"y": _sum_of_products(reference.linear_forward, p["in_features"] + 1, *arrays)}
    if row.direction == "D":
        op = reference.linear_backward_data
        return {"dx": _sum_of_products(op, p["out_features"], t["dy"], t["weight"])}

    def weight_op(dy: Array, x: Array) -> Any:
        return reference.linear_backward_weight(dy, x, with_bias=bool(p["bias"]))

    return _weight_and_bias(weight_op, t, p["N"], lambda scale: scale)


def _convolution(row: Row, t: Arrays, plan: str | None) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    transposed, groups = row.op == "conv_transpose2d", p.get("groups", 1)
    names = ("stride", "padding") if transposed else ("stride", "padding", "groups")
    geometry: dict[str, Any] = {
        name: tuple(p[name]) if isinstance(p[name], list) else p[name] for name in names
    }
    op = {"F": "forward", "D": "backward_data", "W": "backward_weight"}[row.direction]
    function = getattr(reference, f"{row.op}_{op}")
    # Winograd mixes the pixels of a tile: its error follows the largest S of an image's channel
    # (of a filter's plane), and its constant is that of the 4x4 tiles.
    winograd = plan_widens(plan)

    def scale_of(scale: Array) -> Array:
        if not winograd:
            return scale
        return np.broadcast_to(scale.max(axis=(2, 3), keepdims=True), scale.shape)

    if row.direction == "W":
        pixels = prod((t["x"] if transposed else t["dy"]).shape[2:])

        def weight_op(dy: Array, x: Array) -> Any:
            size = (p["R"], p["S"])
            return function(dy, x, size, with_bias=bool(p["bias"]), **geometry)

        terms = p["N"] * pixels
        return _weight_and_bias(weight_op, t, terms * (100 if winograd else 1), scale_of)
    name, arrays, inner = "y", [t.get("x"), t["weight"], t.get("bias")], p["C"] // groups
    if row.direction == "D":
        name, arrays, inner = "dx", [t["dy"], t["weight"]], p["K"] // groups
        if not transposed:
            function = functools.partial(function, input_size=(p["H"], p["W"]))
    value, scale = function(*arrays, **geometry), function(*_absolute(*arrays), **geometry)
    factor = 2 * np.sqrt(inner) + 100 if winograd else _sum_factor(inner * p["R"] * p["S"] + 1)
    return {name: Expected(value, factor * UNIT * scale_of(scale))}


def _max_pool2d(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    geometry = {"stride": p["stride"], "padding": p["padding"]}
    x, size = t["x"], p["kernel_size"]
    result: Any = reference.max_pool2d_forward(x, size, **geometry)
    y, offsets = result
    if row.direction == "F":
        return {"y": Expected(y, np.zeros_like(y))}

    def backward(dy: Array) -> Array:
        return np.asarray(reference.max_pool2d_backward(dy, offsets, x.shape[2:], size, **geometry))

    # A pixel that wins r windows is a sum of r terms: r - 1 roundings.
    overlap = (-(-size // p["stride"])) ** 2
    bound = (overlap - 1) * UNIT * backward(np.abs(t["dy"]))
    return {"dx": Expected(backward(t["dy"]), bound)}


def _exact(**values: Any) -> dict[str, Expected]:
    """Outputs that are copies of inputs."""
    return {name: Expected(value, np.zeros_like(value)) for name, value in values.items()}


def _max_unpool2d(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    if row.direction == "B":
        return _exact(dx=reference.max_unpool2d_backward(t["dy"], t["indices"]))
    size = p["H"] * p["factor"], p["W"] * p["factor"]
    return _exact(y=reference.max_unpool2d_forward(t["x"], t["indices"], size))


def _bed_of_nails(row: Row, t: Arrays) -> dict[str, Expected]:
    factor: Any = row.parameters["factor"]
    return _exact(y=reference.bed_of_nails_forward(t["x"], factor))


def _upsample(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    rows, columns = (upsample_taps(p[axis], p["factor"], p["mode"]) for axis in "HW")

    def forward(x: Array) -> Array:
        return reference.resample2d_forward(x, rows, columns)

    if row.direction == "F":
        return {"y": _sum_of_products(forward, 4, t["x"])}

    def backward(dy: Array) -> Array:
        return reference.resample2d_backward(dy, rows, columns, (p["H"], p["W"]))

    return {"dx": _sum_of_products(backward, 4 * p["factor"] ** 2, t["dy"])}


def _affine(row: Row, t: Arrays) -> dict[str, Expected]:
    """A place is off by a few roundings of the image's size, a value by its slope times that."""
    value = reference.affine_sample(t["images"], t["matrices"])
    slope = 4 * np.abs(t["images"]).max()
    reach = np.abs(t["matrices"]).sum(axis=(1, 2)).max() * max(value.shape[2:])
    return {"y": Expected(value, np.full(value.shape, 8 * UNIT * slope * reach))}


def _reorder(row: Row, t: Arrays) -> dict[str, Expected]:
    return _exact(y=t["x"])


def _pairwise_distances(row: Row, t: Arrays) -> dict[str, Expected]:
    value = reference.pairwise_distances(t["x"], t["y"])
    return {"d": Expected(value, 2 * UNIT * value)}


def _per_channel(array: Array) -> Array:
    return array[:, None, None]


def _batch_norm_relu(row: Row, t: Arrays) -> dict[str, Expected]:
    x, weight = t["x"], np.abs(_per_channel(t["weight"]))
    count = x.size // x.shape[1]
    sums = _sum_factor(count)
    if row.direction == "F":
        y, mean, invstd = reference.batch_norm_forward(
            x, t["weight"], t["bias"], t["running_mean"], t["running_var"], training=True
        )
        xhat = np.abs((x - _per_channel(mean)) * _per_channel(invstd))
        mean_scale = _per_channel(np.abs(x).mean(axis=(0, 2, 3)) * invstd)
        error = (8 + sums / 2) * xhat + sums * mean_scale
        bound = UNIT * (error * weight + 2 * np.abs(_per_channel(t["bias"])))
        return {"y": Expected(np.maximum(y, 0), bound)}
    mean, invstd = t["mean"], t["invstd"]
    dz = t["dy"] * (t["y"] > 0)
    dx, dw, db = reference.batch_norm_backward(dz, x, t["weight"], mean, invstd, training=True)
    xhat = np.abs((x - _per_channel(mean)) * _per_channel(invstd))
    dz = np.abs(dz)
    db_scale, dw_scale = dz.sum(axis=(0, 2, 3)), (dz * xhat).sum(axis=(0, 2, 3))
    means = (_per_channel(db_scale) + xhat * _per_channel(dw_scale)) / count
    bound = UNIT * weight * _per_channel(invstd) * (8 * dz + (8 + sums) * means)
    return {
        "dx": Expected(dx, bound),
        "dw": Expected(dw, (sums + 4) * UNIT * dw_scale),
        "db": Expected(db, sums * UNIT * db_scale),
    }


def _activation(row: Row, t: Arrays) -> dict[str, Expected]:
    """Of slopes up to about 1: a rounding of x, and a few of the value."""
    name, x = row.parameters["activation"], t["x"]
    options = {"slope": 1 / 6} if name == "hard_sigmoid" else {}
    if row.direction == "F":
        y = getattr(reference, f"{name}_forward")(x, **options)
        return {"y": Expected(y, UNIT * 8 * (1 + np.abs(x)))}
    dx = getattr(reference, f"{name}_backward")(t["dy"], x, **options)
    return {"dx": Expected(dx, UNIT * 8 * np.abs(t["dy"]) * (1 + np.abs(x)))}


def _cross_entropy(row: Row, t: Arrays) -> dict[str, Expected]:
    x, target = t["x"], t["target"]
    result: Any = reference.cross_entropy_forward(x, target)
    loss, dx = result
    rows, classes = x.shape
    loss_bound = UNIT * (4 * max(1.0, float(loss)) + _sum_factor(classes) + _sum_factor(rows))
    # dx = (softmax - onehot) / N: its error is that of softmax, plus the rounding of 1 - softmax.
    onehot = np.arange(classes) == target[:, None]
    probabilities = dx * rows + onehot
    distance = x.max(axis=1, keepdims=True) - x
    error = (distance + _sum_factor(classes)) * probabilities + 4 * np.abs(dx * rows)
    return {
        "loss": Expected(np.asarray(loss), np.asarray(loss_bound)),
        "dx": Expected(dx, UNIT * error / rows),
    }


def _pointwise_loss(row: Row, t: Arrays) -> dict[str, Expected]:
    """Losses of about the size of 1, whose terms do not cancel by much."""
    x, target = t["x"], t["target"]
    loss, dx, _ = reference.pointwise_loss_forward(x, target, str(row.parameters["loss"]))
    loss_bound = UNIT * 16 * (1 + np.abs(x).mean()) + 80 * UNIT * loss
    slope_bound = 16 * UNIT * ((1 + np.abs(x)) / x.size + np.abs(np.asarray(dx)))
    return {"loss": Expected(loss, loss_bound), "dx": Expected(np.asarray(dx), slope_bound)}


def _focal_loss(row: Row, t: Arrays) -> dict[str, Expected]:
    p: dict[str, Any] = row.parameters
    result: Any = reference.focal_loss_forward(t["x"], t["target"], gamma=p["gamma"])
    loss, dx = result
    rows, classes = t["x"].shape
    steep = (p["gamma"] + 1) ** 2
    grade = steep * UNIT * (4 * np.ptp(t["x"], axis=1, keepdims=True) + _sum_factor(classes) + 12)
    return {
        "loss": Expected(loss, np.asarray(grade.mean() + _sum_factor(rows) * UNIT * loss)),
        "dx": Expected(dx, grade / rows + 8 * UNIT * np.abs(dx)),
    }


def _optimizer(row: Row, t: Arrays) -> dict[str, Expected]:
    """The first step: the rounding of the parameter, and of an update of a few operations."""
    before = t["param"].copy()
    with neurona.use_backend("reference"):
        parameter = neurona.tensor(t["param"], requires_grad=True)
        parameter.grad = neurona.tensor(t["grad"])
        task = optimizer_task(neurona, str(row.parameters["optimizer"]), parameter)
        value = task.outputs(task.run())["param"]
    return {"param": Expected(value, UNIT * (4 * np.abs(before) + 32 * np.abs(value - before)))}


OPS: dict[str, Callable[[Row, Arrays], dict[str, Expected]]] = {
    "gemm": _gemm,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "max_unpool2d": _max_unpool2d,
    "bed_of_nails": _bed_of_nails,
    "upsample": _upsample,
    "affine": _affine,
    "reorder": _reorder,
    "pairwise_distances": _pairwise_distances,
    "batch_norm_relu": _batch_norm_relu,
    "activation": _activation,
    "cross_entropy": _cross_entropy,
    "pointwise_loss": _pointwise_loss,
    "focal_loss": _focal_loss,
    "optimizer": _optimizer,
}


def plan_widens(plan: str | None) -> bool:
    """Whether the algorithm that a plan names rounds more than a plain sum of products."""
    return plan is not None and "winograd" in plan.lower()


def expected_outputs(row: Row, seed: int, plan: str | None = None) -> dict[str, Expected]:
    """Truth and bounds for every output of an op's row; the algorithm in ``plan`` may widen one."""
    t = build_inputs(row.name, row.op, row.direction, dict(row.parameters), seed)
    t = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in t.items()}
    if row.op in ("conv2d", "conv_transpose2d"):
        return _convolution(row, t, plan)
    return OPS[row.op](row, t)


def expected_of_network(truth: Mapping[str, Array]) -> dict[str, Expected]:
    """Truth and bounds from the outputs of a network run in float64 on the reference.

    Losses and outputs are held to their size, an update to its own norm and to the rounding of the
    parameters that it moved.
    """
    expected = {}
    for name, value in truth.items():
        if name.startswith("before:"):
            continue
        norm = float(np.linalg.norm(value))
        bound = LOSS_TOLERANCE * norm
        if name.startswith("update:"):
            before = truth["before:" + name.removeprefix("update:")]
            bound = UPDATE_TOLERANCE * norm + 4 * UNIT * float(np.linalg.norm(before))
        expected[name] = Expected(value, np.asarray(bound))
    return expected


def worst_part(expected: Expected, actual: Array) -> float:
    """Largest error as a part of the allowed: right if <= 1; infinite for NaN or a wrong shape."""
    value, bound = expected
    if actual.shape != value.shape:
        return float("inf")
    error = np.abs(actual.astype(np.float64) - value)
    if bound.ndim == 0:
        error = np.asarray(np.linalg.norm(error))
    # 0 is allowed where the bound is 0, and a NaN must not pass for a small number.
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(error == 0, 0.0, error / bound)
    return float(np.where(np.isnan(part), np.inf, part).max(initial=0.0))


def complaints(expected: Mapping[str, Expected], actual: Mapping[str, Array]) -> list[str]:
    """One line for each output that is missing or wrong; empty when all is right."""
    lines = []
    for name, truth in expected.items():
        if name not in actual:
            lines.append(f"{name} is missing")
            continue
        part = worst_part(truth, actual[name])
        if not part <= 1:
            lines.append(f"{name} is off by {part:.3g} times what rounding explains")
    return lines
