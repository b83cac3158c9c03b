"""pointwise_loss_forward: each loss, its sum and both gradients, close to float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import harness
import neurona
import neurona.reference as reference
from cases import LENGTHS
from compare import assert_close, assert_exact, assert_same_bits
from harness import SMALLEST_DENORMAL, Bad, U, bad_arrays
from neurona.backends.bounds import RULES
from neurona.nn import functional as F

REDUCTIONS = ("mean", "sum", "none")


class Loss(NamedTuple):
    """One loss: its name, its options, and the ranges that x and the target come from."""

    name: str
    options: dict[str, Any] = {}
    x: tuple[float, float] = (-4, 4)
    target: tuple[float, float] = (-4, 4)

    def arrays(self, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """x, target and, where the loss takes one, its weight."""
        rng = harness.rng_of("pointwise", self.name, shape)
        x, target = (rng.uniform(*r, shape).astype(np.float32) for r in (self.x, self.target))
        if self.name == "hinge":
            target = np.where(target < 0, -1, 1).astype(np.float32)
        weight = [rng.uniform(0.5, 3, shape).astype(np.float32)] if "w" in self.options else []
        return x, target, *weight

    def call(self, **more: Any) -> Any:
        """The op as a function of a backend and these arrays."""
        options = {k: v for k, v in self.options.items() if k != "w"}
        given = {"with_target_grad": True, **options, **more}

        def run(ops: Any, x: Any, target: Any, weight: Any = None) -> Any:
            return ops.pointwise_loss_forward(x, target, self.name, pos_weight=weight, **given)

        return run

    def bounds(self, arrays: tuple[np.ndarray, ...], **more: Any) -> list[Any]:
        """Those of `verify`."""
        wide = [a.astype(np.float64) for a in arrays]
        expected = harness.results(self.call(**more)(reference, *wide))
        given = {
            **{"parameter": 1.0, "reduction": "mean", **self.options, **more},
            **{"x": wide[0], "target": wide[1], "loss": self.name},
            "pos_weight": wide[2] if len(wide) == 3 else None,
        }
        with np.errstate(all="ignore"):
            rule: Any = RULES["pointwise_loss_forward"](given, expected)
        return [bound for bound in rule if bound is not None]


PROBABILITIES: dict[str, tuple[float, float]] = {"x": (0, 1), "target": (0, 1)}
LOSSES = [
    Loss("mse"),
    Loss("l1"),
    Loss("huber"),
    Loss("huber", {"parameter": 0.3}),
    Loss("smooth_l1"),
    Loss("smooth_l1", {"parameter": 0.3}),
    Loss("smooth_l1", {"parameter": 0.0}),
    Loss("hinge"),
    Loss("hinge", {"parameter": 2.5}),
    Loss("bce", **PROBABILITIES),
    Loss("bce_with_logits", target=(0, 1)),
    Loss("bce_with_logits", {"w": True}, target=(0, 1)),
    Loss("kl_div", x=(-6, 0), target=(0, 1)),
    Loss("kl_div_log", x=(-6, 0), target=(-6, 0)),
]
EACH = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.name} {loss.options}")
SHAPES = [*[(n,) for n in LENGTHS], (), (2, 3, 4, 5), (3, 17, 5, 1), (40, 1000)]


@EACH
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_and_gradients(backend: Any, loss: Loss, reduction: str) -> None:
    """Every length around the lanes, ranks 0 to 4, and more elements than one piece of work."""
    for shape in SHAPES:
        arrays = loss.arrays(shape)
        call, bounds = loss.call(reduction=reduction), loss.bounds(arrays, reduction=reduction)
        what = f"pointwise_loss {loss.name} {loss.options} {reduction} {shape}"
        harness.check_within(backend, call, arrays, bounds, what=what)


@EACH
def test_what_is_not_asked_for_is_not_there(backend: Any, loss: Loss) -> None:
    """The loss is the same to the bit with and without gradients, and so is each of them."""
    arrays = loss.arrays((3, 41))
    both = loss.call()(backend, *arrays)
    for with_grad in (False, True):
        for with_target_grad in (False, True):
            wanted = (True, with_grad, with_target_grad)
            call = loss.call(with_grad=with_grad, with_target_grad=with_target_grad)
            for is_wanted, got, full in zip(wanted, call(backend, *arrays), both, strict=True):
                assert (got is not None) == is_wanted
                if got is not None:
                    assert_same_bits(got, full, what=f"pointwise_loss {loss.name} on {backend}")


@EACH
def test_gradients(loss: Loss) -> None:
    """The reference's gradients against central differences, away from the kinks."""
    arrays = loss.arrays((4, 5))
    if loss.name not in ("hinge", "bce_with_logits"):
        x, target = arrays
        arrays = (np.where(np.abs(x - target) < 0.01, x + np.float32(0.05), x), target)
    if loss.name in ("bce", "kl_div"):
        arrays = tuple(np.clip(a, 0.05, 0.95) if a.min() >= 0 else a for a in arrays)
    weights = arrays[2:]
    call = loss.call(reduction="none")

    def gradient(dy: Any, x: Any, target: Any) -> Any:
        _, dx, dtarget = call(reference, x, target, *[w.astype(np.float64) for w in weights])
        return dx * dy, dtarget * dy

    def forward(x: Any, target: Any) -> Any:
        return call(reference, x, target, *[w.astype(np.float64) for w in weights])[0]

    harness.check_gradient(forward, gradient, arrays[:2], what=f"pointwise_loss {loss.name}")


@EACH
def test_layouts(backend: Any, loss: Loss) -> None:
    """Strides, alignment and byte order change no bit, nor does one array given twice."""
    for shape in ((3, 19), (2, 5, 3, 4)):
        for reduction in ("mean", "none"):
            call = loss.call(reduction=reduction)
            harness.check_layouts(backend, call, loss.arrays(shape), what=f"pointwise_loss {loss}")
    array = loss.arrays((2, 41))[1]
    count = len(loss.arrays((1,)))
    harness.check_aliased(backend, loss.call(), array, count, what=f"pointwise_loss {loss.name}")


@EACH
def test_thread_count_changes_no_bit(compiled: Any, loss: Loss) -> None:
    """1, 2, 3 and 8 threads take other pieces, whose sums are added in one order."""
    for reduction in REDUCTIONS:
        call, arrays = loss.call(reduction=reduction), loss.arrays((300_007,))
        harness.check_threads(compiled, call, arrays, what=f"pointwise_loss {loss.name}")


@EACH
def test_nan_and_infinity(backend: Any, loss: Loss) -> None:
    """They reach their own element as in float64, and the sum."""
    arrays = loss.arrays((19,))
    call = loss.call(reduction="none")
    harness.check_nan_positions(backend, call, arrays, what=f"pointwise_loss {loss.name}")
    arrays[0][7] = np.nan
    for reduction in ("mean", "sum"):
        assert np.isnan(loss.call(reduction=reduction)(backend, *arrays)[0])


@EACH
def test_nothing_at_all(backend: Any, loss: Loss) -> None:
    """The sum of nothing is 0 and its mean is nan."""
    arrays = loss.arrays((0, 3))
    for reduction, wanted in (("sum", 0.0), ("mean", np.nan)):
        value, dx, dtarget = loss.call(reduction=reduction)(backend, *arrays)
        assert_exact(value, np.float32(wanted)[...], what=f"pointwise_loss empty on {backend}")
        assert dx.shape == dtarget.shape == (0, 3)
    assert loss.call(reduction="none")(backend, *arrays)[0].shape == (0, 3)


def test_the_ends_of_the_ranges(backend: Any) -> None:
    """Certain predictions, right and wrong, and logits far out: finite, as the formulas say."""
    x, target = np.array([0, 1, 0, 1], np.float32), np.array([0, 1, 1, 0], np.float32)
    value, dx, _ = backend.pointwise_loss_forward(x, target, "bce", reduction="none")
    assert_exact(value, np.array([0, 0, 100, 100], np.float32), what=f"bce ends on {backend}")
    assert_close(dx, np.array([0, 0, -1e12, 1e12]), 1e6, what=f"bce ends on {backend}")
    x = np.array([1e4, -1e4, 100, -100, 3e38], np.float32)
    target = np.array([0, 1, 1, 0, 0], np.float32)
    value, dx, _ = backend.pointwise_loss_forward(x, target, "bce_with_logits", reduction="none")
    far = np.exp(-100.0)
    # -100 + softplus(100) cancels; dx = sigmoid(x) - t does where t is 1.
    bound = np.array([0, 0, SMALLEST_DENORMAL, 100 * U, 0])
    assert_close(value, np.array([1e4, 1e4, far, far, x[4]]), bound, what=f"bce_far on {backend}")
    bound = np.array([0, 0, U, SMALLEST_DENORMAL, 0])
    assert_close(dx, np.array([1, -1, 0, far, 1]), bound, what=f"bce_far dx on {backend}")
    zero = np.zeros(1, np.float32)
    value, dx, dtarget = backend.pointwise_loss_forward(
        zero - 1, zero, "kl_div", reduction="none", with_target_grad=True
    )
    assert value == 0 and dx == 0 and dtarget == -np.inf
    tiny = np.array([1e-8, 1e-20], np.float32)
    value, _, _ = backend.pointwise_loss_forward(tiny, 0 * tiny, "bce", reduction="none")
    assert_close(value, tiny.astype(np.float64), 4 * U * tiny, what=f"bce log1p on {backend}")


def test_one_weight_for_all_positives(backend: Any) -> None:
    """A single value, of any rank, is as good as an array full of it."""
    x, target = LOSSES[10].arrays((5, 37))
    full = np.full(x.shape, 2.5, np.float32)
    call = LOSSES[11].call()
    expected = call(backend, x, target, full)
    for one in (full[:1, :1], np.asarray(full[0, 0]), np.broadcast_to(full[0, 0], x.shape)):
        for got, wanted in zip(call(backend, x, target, one), expected, strict=True):
            assert_same_bits(got, wanted, what=f"pointwise_loss pos_weight on {backend}")


def test_parameters_that_float32_cannot_hold(backend: Any) -> None:
    """They are as good as the nearest that it can."""
    x, zero = np.array([0.0, -2.0, 3.0], np.float32), np.zeros(3, np.float32)
    for name, parameter, expected in (
        ("huber", 1e300, [0, 2, 4.5]),
        ("smooth_l1", 1e-300, [0, 2, 3]),
    ):
        value = backend.pointwise_loss_forward(
            x, zero, name, parameter=parameter, reduction="none", with_grad=False
        )[0]
        assert_close(value, np.array(expected, np.float64), 1e-6, what=f"{name} on {backend}")


X = np.ones((3, 4), np.float32)
HUGE = np.broadcast_to(np.float32(1), (2**20, 2**20))
OP = "pointwise_loss_forward"
REJECTED = [
    *[Bad(OP, b.error, b.words, (*b.args, "mse")) for b in bad_arrays(OP, (X, X), ("x", "target"))],
    Bad(OP, ValueError, ("target", "(3, 4)", "(2, 4)"), (X, X[:2], "mse")),
    Bad(OP, ValueError, ("target", "(3, 4)", "(4,)"), (X, X[0], "mse")),
    Bad(OP, ValueError, ("loss", "huber", "msee"), (X, X, "msee")),
    Bad(OP, ValueError, ("loss",), (X, X, "")),
    *[Bad(OP, TypeError, ("loss",), (X, X, v)) for v in (None, 1, b"mse")],
    *[Bad(OP, ValueError, ("reduction",), (X, X, "mse"), {"reduction": v}) for v in ("", "avg")],
    Bad(OP, TypeError, ("reduction",), (X, X, "mse"), {"reduction": None}),
    *[
        Bad(OP, ValueError, ("parameter",), (X, X, name), {"parameter": v})
        for name, values in (("huber", (0.0, -1.0)), ("smooth_l1", (-1.0,)), ("hinge", ()))
        for v in (*values, float("nan"), float("inf"))
    ],
    *[Bad(OP, TypeError, ("parameter",), (X, X, "huber"), {"parameter": v}) for v in ("1", None)],
    Bad(OP, ValueError, ("pos_weight",), (X, X, "mse"), {"pos_weight": X}),
    Bad(OP, ValueError, ("pos_weight", "(4,)"), (X, X, "bce_with_logits"), {"pos_weight": X[0]}),
    *[
        Bad(OP, TypeError, ("pos_weight",), (X, X, "bce_with_logits"), {"pos_weight": v})
        for v in (2.0, X.astype(np.float64), "1")
    ],
    Bad(OP, MemoryError, (), (HUGE, HUGE, "mse")),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "pointwise_loss")


FUNCTIONAL: dict[str, Any] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "kl_div": F.kl_div,
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", FUNCTIONAL)
def test_a_loss_is_one_call(name: str, reduction: str) -> None:
    """Forward is one kernel, backward at most one multiplication, all within their bounds."""
    loss = next(case for case in LOSSES if case.name == name)
    x, target = (neurona.Tensor(a) for a in loss.arrays((7, 33)))
    x.requires_grad_()
    with neurona.verify() as report:
        FUNCTIONAL[name](x, target, reduction=reduction).sum().backward()
    assert report.worst["pointwise_loss_forward"] <= 1
    assert set(report.worst) <= {"pointwise_loss_forward", "mul", "sum"}
