"""adagrad_step, rmsprop_step, adadelta_step, adamax_step, nadam_step: one step against float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import harness
import neurona
import neurona.reference as reference
from cases import LENGTHS
from compare import assert_exact, assert_same_bits
from harness import Bad
from neurona import nn, optim
from neurona.backends.step_bounds import STEPS

SHAPES: list[tuple[int, ...]] = [*[(n,) for n in LENGTHS], (3, 19), (4, 3, 5, 2), (), (0, 3)]


class Step(NamedTuple):
    """An optimizer's step: its kernel, the lists of its state, and its options."""

    name: str
    state: tuple[str, ...]
    options: dict[str, Any]

    @property
    def op(self) -> str:
        """The name of the kernel."""
        return f"{self.name}_step"

    def arrays(self, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """Parameters, gradients and state; what is a mean of squares or sizes is not negative."""
        rng = harness.rng_of("adaptive", shapes)
        lists = [[harness.normals(rng, s) for s in shapes] for _ in range(2 + len(self.state))]
        for name, arrays in zip(self.state, lists[2:], strict=True):
            if name not in ("exp_avgs", "buffers"):
                arrays[:] = [np.asarray(np.square(a)) for a in arrays]
        return [array for arrays in lists for array in arrays]

    def call(self, ops: Any, *arrays: np.ndarray) -> Any:
        """The step on copies: returns all that it updates."""
        n = len(arrays) // (2 + len(self.state))
        params, grads, *state = (list(arrays[i : i + n]) for i in range(0, len(arrays), n))
        params, *state = ([a.copy() for a in part] for part in (params, *state))
        none = [None] if self.name == "rmsprop" and len(self.state) == 1 else []
        getattr(ops, self.op)(params, grads, *state, *none, **self.options)
        return tuple(array for arrays in (params, *state) for array in arrays)


RATES = {"gradient_rate": 0.02, "mean_rate": 0.07}
MAX = {"weight_decay": 0.1, "maximize": True}
STEP_CASES = [
    Step("adagrad", ("sums",), {"lr": 0.1, "step": 1}),
    Step("adagrad", ("sums",), {"lr": 0.1, "step": 7, "lr_decay": 0.1, "eps": 1e-3, **MAX}),
    Step("adagrad", ("sums",), {"lr": 0.1, "step": 2, "eps": 1e-2, "eps_inside": True}),
    Step("rmsprop", ("square_avgs",), {"lr": 0.1}),
    Step("rmsprop", ("square_avgs",), {"lr": 0.1, "alpha": 0.5, "eps_inside": True, **MAX}),
    Step("rmsprop", ("square_avgs", "buffers"), {"lr": 0.1, "momentum": 0.9}),
    Step("rmsprop", ("square_avgs", "buffers"), {"lr": 0.1, "momentum": 0.5, "alpha": 1.0, **MAX}),
    Step("adadelta", ("square_avgs", "acc_deltas"), {"lr": 1.0}),
    Step("adadelta", ("square_avgs", "acc_deltas"), {"lr": 0.5, "rho": 0.3, "eps": 1e-2, **MAX}),
    Step("adamax", ("exp_avgs", "exp_infs"), {"lr": 0.1, "step": 1}),
    Step("adamax", ("exp_avgs", "exp_infs"), {"lr": 0.1, "step": 9, "beta1": 0.5, "beta2": 0.7}),
    Step("adamax", ("exp_avgs", "exp_infs"), {"lr": 0.1, "step": 2, "eps": 1e-2, **MAX}),
    Step("nadam", ("exp_avgs", "exp_avg_sqs"), {"lr": 0.1, "step": 1, **RATES}),
    Step("nadam", ("exp_avgs", "exp_avg_sqs"), {"lr": 0.1, "step": 50_000, **RATES, **MAX}),
    Step(
        "nadam",
        ("exp_avgs", "exp_avg_sqs"),
        {"lr": 0.1, "step": 3, "weight_decay": 0.1, "decoupled": True, **RATES},
    ),
]
EACH = pytest.mark.parametrize("step", STEP_CASES, ids=lambda s: f"{s.name} {s.options}")


def bounds(step: Step, arrays: list[np.ndarray]) -> list[Any]:
    """Those of `verify`."""
    n = len(arrays) // (2 + len(step.state))
    wide = [a.astype(np.float64) for a in arrays]
    lists = [wide[i : i + n] for i in range(0, len(wide), n)]
    given: dict[str, Any] = {"weight_decay": 0.0, "momentum": 0.0, "lr_decay": 0.0, "alpha": 0.99}
    given |= {"beta1": 0.9, "beta2": 0.999, "rho": 0.9, "eps_inside": False, "buffers": None}
    given["eps"] = {"adagrad": 1e-10, "adadelta": 1e-6}.get(step.name, 1e-8)
    given |= dict(zip(("params", "grads", *step.state), lists, strict=True))
    rule: Any = STEPS[step.op]
    with np.errstate(all="ignore"):
        return list(rule({**given, **step.options}, step.call(reference, *wide)))


@EACH
def test_one_step(backend: Any, step: Step) -> None:
    """Every length and rank at once, parameters and state."""
    arrays = step.arrays(SHAPES)
    harness.check_within(backend, step.call, arrays, bounds(step, arrays), what=step.op)


@EACH
def test_gradients_are_not_written(backend: Any, step: Step) -> None:
    """The layout of the gradients, and of parameters in channels-last memory, does not matter."""
    arrays = step.arrays([(4, 3, 5, 2)])
    expected = step.call(backend, *arrays)
    for name, view in harness.layouts(arrays[1]):
        before = view.tobytes()
        got = step.call(backend, arrays[0], view, *arrays[2:])
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b, what=f"{step.op} {name} on {backend}")
        assert view.tobytes() == before, name
    last = np.moveaxis(np.moveaxis(arrays[0], 1, -1).copy(), -1, 1)
    got = step.call(backend, last, *arrays[1:])
    assert_exact(np.ascontiguousarray(got[0]), expected[0], what=f"{step.op} on {backend}")


@EACH
def test_nan_and_infinity_propagate(backend: Any, step: Step) -> None:
    """A NaN or infinite gradient or parameter spoils its own element alone."""
    arrays = step.arrays([(3, 6)])
    harness.check_nan_positions(backend, step.call, arrays, what=step.op, spoil=(0, 1))


@EACH
def test_thread_count_changes_no_bit(compiled: Any, step: Step) -> None:
    """1, 2, 3 and 8 threads, over large and small arrays together."""
    arrays = step.arrays([(200_003,), (7,), (300, 500)])
    harness.check_threads(compiled, step.call, arrays, what=step.op)


def test_nothing_to_do(backend: Any) -> None:
    """No parameter, no step, no error."""
    for step in STEP_CASES:
        lists: list[list[np.ndarray]] = [[] for _ in range(2 + max(2, len(step.state)))]
        count = 3 if step.name == "adagrad" else 4
        getattr(backend, step.op)(*lists[:count], **step.options)


ONE, TWO = np.ones(4, np.float32), np.ones((2, 2), np.float32)
READ_ONLY = np.broadcast_to(np.float32(1), (4,))
NAN = float("nan")


def rejected() -> list[Bad]:
    """Bad options and lists of each of the five."""
    found = []
    for step in (STEP_CASES[i] for i in (1, 6, 8, 11, 14)):
        names = ("params", "grads", *step.state)

        def bad(
            error: type[Exception],
            words: tuple[str, ...],
            changed: dict[str, Any] | None = None,
            good: Step = step,
            names: tuple[str, ...] = names,
            **options: Any,
        ) -> Bad:
            lists = {name: [ONE, TWO] for name in names} | (changed or {})
            return Bad(good.op, error, words, tuple(lists.values()), {**good.options, **options})

        numbers = ["lr", "eps", "weight_decay"]
        numbers += {
            "adagrad": ["lr_decay"],
            "rmsprop": ["alpha", "momentum"],
            "adadelta": ["rho"],
            "nadam": ["beta1", "beta2", "gradient_rate", "mean_rate"],
            "adamax": ["beta1", "beta2"],
        }[step.name]
        for name in numbers:
            found += [bad(ValueError, (name,), **{name: v}) for v in (-1.0, NAN)]
            found += [bad(TypeError, (name,), **{name: v}) for v in ("1", None)]
        if "step" in step.options:
            found += [bad(ValueError, ("step",), step=v) for v in (0, -1, 2**70)]
            found += [bad(TypeError, ("step",), step=v) for v in (1.0, True, None)]
        for name in names[1:]:
            found += [
                bad(ValueError, (name,), {name: [ONE]}),
                bad(ValueError, (name, "(2, 2)", "(4,)"), {name: [ONE, ONE]}),
                bad(TypeError, (name,), {name: [ONE, TWO.astype(np.float64)]}),
                bad(TypeError, (name,), {name: [ONE, None]}),
                bad(TypeError, (name,), {name: 1}),
            ]
        for name in ("params", *step.state):
            found.append(bad(ValueError, (name, "read-only"), {name: [READ_ONLY, TWO]}))
        found.append(bad(TypeError, ("params",), {"params": None}))
    buffers = ([ONE], [ONE], [ONE], None)
    found.append(Bad("rmsprop_step", ValueError, ("buffers",), buffers, {"lr": 1, "momentum": 0.1}))
    return found


@pytest.mark.parametrize("bad", rejected(), ids=harness.bad_id)
def test_bad_calls_are_refused_and_change_nothing(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError before the first parameter changes."""
    harness.check_rejected(backend, bad, bad.op)
    assert (ONE == 1).all() and (TWO == 1).all()


def test_shared_memory_is_refused(compiled: Any) -> None:
    """An array that is updated must not be another one, nor overlap it."""
    for step in (STEP_CASES[i] for i in (0, 5, 7, 9, 12)):
        for position in range(1, 2 + len(step.state)):
            lists = [[np.ones(4, np.float32)] for _ in range(2 + len(step.state))]
            lists[position] = lists[0]
            with pytest.raises(ValueError, match="must not share memory"):
                getattr(compiled, step.op)(*lists, **step.options)


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Adadelta", "Adamax", "NAdam"])
def test_the_optimizers_use_the_kernels(name: str) -> None:
    """Three steps of two parameters under `verify`: one call each, within its bound."""
    rng = harness.rng_of("verify", name)
    params = [nn.Parameter(neurona.Tensor(harness.normals(rng, s))) for s in ((3, 5), (5,))]
    optimizer = getattr(optim, name)(params, lr=0.01, weight_decay=0.1)
    with neurona.verify() as report:
        for _ in range(3):
            for p in params:
                p.grad = neurona.Tensor(harness.normals(rng, p.shape))
            optimizer.step()
    assert report.calls == 3 and report.worst[f"{name.lower()}_step"] <= 1
