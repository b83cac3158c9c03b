"""A backend that runs each kernel twice, compiled and on the reference in float64, and compares."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import named, set_active
from .bounds import RULES
from .waist import KERNELS

# Arrays that a kernel changes in place, by the names of its arguments: results like the others.
UPDATED = {
    "batch_norm_forward": ("running_mean", "running_var"),
    "sgd_step": ("params", "buffers"),
    "adagrad_step": ("params", "sums"),
    "rmsprop_step": ("params", "square_avgs", "buffers"),
    "adadelta_step": ("params", "square_avgs", "acc_deltas"),
    "adamax_step": ("params", "exp_avgs", "exp_infs"),
    "nadam_step": ("params", "exp_avgs", "exp_avg_sqs"),
    "adam_step": ("params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"),
}


class Report:
    """What `verify` saw: the number of calls compared, and per kernel the worst error / bound."""

    def __init__(self) -> None:
        self.calls = 0
        self.worst: dict[str, float] = {}

    def __repr__(self) -> str:
        shares = ", ".join(f"{op} {share:.3f}" for op, share in sorted(self.worst.items()))
        return f"<verify: {self.calls} calls, worst error / bound: {shares or 'none'}>"


class VerifyBackend:
    """The kernels under their names, each a function that compares before it returns."""

    name = "verify"

    def __init__(self, report: Report) -> None:
        self._report = report

    def __getattr__(self, kernel: str) -> Any:
        if kernel not in KERNELS:
            raise AttributeError(f"backend 'verify' has no kernel {kernel!r}")
        compiled = getattr(named("cpu"), kernel)
        if kernel == "conv2d_plan":  # words, not numbers: the reference has one algorithm
            return compiled
        truth = getattr(named("reference"), kernel)

        def compared(*args: Any, **kwargs: Any) -> Any:
            signature = inspect.signature(truth)
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError:
                return compiled(*args, **kwargs)  # which says what is wrong with the arguments
            given.apply_defaults()
            before = {name: _wide(value) for name, value in given.arguments.items()}
            result = compiled(*args, **kwargs)
            again = {name: _wide(value) for name, value in before.items()}
            expected = _flat(truth(**again))
            got = _flat(result)
            for name in UPDATED.get(kernel, ()):
                got += _flat(given.arguments[name])
                expected += _flat(again[name])
            with np.errstate(all="ignore"):
                self._compare(kernel, got, expected, RULES[kernel](before, expected), before)
            return result

        setattr(self, kernel, compared)
        return compared

    def _compare(
        self, kernel: str, got: Any, expected: Any, bounds: Any, arguments: dict[str, Any]
    ) -> None:
        self._report.calls += 1
        for number, (ours, theirs, bound) in enumerate(zip(got, expected, bounds, strict=True)):
            if ours is None and theirs is None:
                continue
            share, index = _worst(ours, theirs, bound)
            if not share <= 1:
                described = ", ".join(
                    f"{name} {value.shape}"
                    for name, value in arguments.items()
                    if isinstance(value, np.ndarray)
                )
                where = (
                    f"worst at {index}: got {ours[index]!r}, expected {theirs[index]!r}, "
                    if (index is not None)
                    else f"got {_shape(ours)}, expected {_shape(theirs)}, "
                )
                raise RuntimeError(
                    f"verify: {kernel} differs from the reference by more than its bound in result "
                    f"{number}; {where}error / bound {share:.3g}; arguments {described}"
                )
            self._report.worst[kernel] = max(self._report.worst.get(kernel, 0.0), share)


def _wide(value: Any) -> Any:
    """A copy, with float32 arrays in float64."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value.copy()
    if isinstance(value, (list, tuple)):
        return type(value)(_wide(item) for item in value)
    return value


def _flat(value: Any) -> tuple[Any, ...]:
    """Results in one tuple; a list of arrays gives its arrays."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return () if value is None else (value,)


def _shape(value: Any) -> str:
    return "None" if value is None else f"shape {value.shape}"


def _worst(ours: Any, theirs: Any, bound: Any) -> tuple[float, tuple[int, ...] | None]:
    """The largest error / bound and where; infinite for another shape or a wrong special value."""
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return float("inf"), None
    if ours.size == 0:
        return 0.0, None
    wide, truth = ours.astype(np.float64), theirs.astype(np.float64)
    if ours.dtype == np.float32:
        # What float32 cannot hold is infinite there.
        truth = np.where(np.isinf(theirs.astype(np.float32)), theirs.astype(np.float32), truth)
    limit = np.broadcast_to(np.asarray(bound, np.float64), truth.shape)
    error = np.abs(wide - truth)
    share = np.where(error == 0, 0.0, error / limit)
    same = (wide == truth) | (np.isnan(wide) & np.isnan(truth))
    share = np.where(same, 0.0, np.where(np.isfinite(truth), share, np.inf))
    # Infinite arguments make the bound of their neighbours infinite or NaN: nothing to compare.
    share = np.where(np.isfinite(truth) & ~np.isfinite(limit), 0.0, share)
    share = np.where(np.isnan(share), np.inf, share)
    position = np.unravel_index(int(np.argmax(share)), share.shape)
    return float(share[position]), tuple(int(i) for i in position)


@contextmanager
def verify_context() -> Iterator[Report]:
    """Make the comparing backend the active one; the choice before comes back at the end."""
    report = Report()
    previous = set_active(VerifyBackend(report))
    try:
        yield report
    finally:
        set_active(previous)
