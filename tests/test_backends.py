"""The choice of kernels, and the context that compares both."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import backends, nn, optim
from neurona.backends.bounds import RULES
from neurona.nn import functional as F


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Each test starts on the compiled kernels and leaves no choice behind."""
    with neurona.use_backend("cpu"):
        yield


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", backends.NAMES)
def test_every_backend_has_every_kernel(name: str) -> None:
    backend = backends.named(name)
    assert [k for k in backends.KERNELS if not callable(getattr(backend, k, None))] == []
    with pytest.raises(AttributeError, match=f"backend '{name}' has no kernel 'conv9d'"):
        backend.conv9d  # noqa: B018


def test_every_kernel_has_a_bound() -> None:
    assert set(RULES) == set(backends.KERNELS) - {"conv2d_plan"}


def test_use_backend_as_context_and_as_call() -> None:
    assert backends.active_name() == "cpu"
    with neurona.use_backend("reference"):
        assert backends.active_name() == "reference"
        with neurona.use_backend("cpu"):
            assert backends.active_name() == "cpu"
        assert backends.active_name() == "reference"
    assert backends.active_name() == "cpu"
    neurona.use_backend("reference")
    assert backends.active_name() == "reference"
    with pytest.raises(ValueError, match="use_backend: name must be one of .* got 'gpu'"):
        neurona.use_backend("gpu")


def test_the_environment_chooses() -> None:
    code = "import neurona; print(neurona.backends.active_name())"
    assert run(code, NEURONA_BACKEND="reference").stdout == "reference\n"
    assert run(code, NEURONA_BACKEND="cpu").stdout == "cpu\n"
    assert "name must be one of" in run(code, NEURONA_BACKEND="no").stderr


def test_both_backends_train_alike() -> None:
    losses = []
    for name in backends.NAMES:
        with neurona.use_backend(name):
            losses.append(trained(steps=5))
    assert np.allclose(*losses, rtol=1e-5, atol=0) and losses[0][-1] < losses[0][0]


def small_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(20, 12),
        nn.Tanh(),
        nn.Linear(12, 3),
    )


def trained(steps: int) -> list[float]:
    """The losses of a few steps on fixed data."""
    neurona.manual_seed(3)
    model = small_cnn()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, target = neurona.randn(6, 1, 12, 12), neurona.tensor([0, 1, 2, 0, 1, 2])
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_float64_runs_on_the_reference_and_says_so_once() -> None:
    code = """
import warnings, neurona
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as seen:
    x = neurona.ones(2, dtype=neurona.float64)
    y = (x + 1e-12) * x
assert y.dtype == neurona.float64 and y[0].item() == 1 + 1e-12
assert [str(w.message)[:21] for w in seen] == ["neurona: the compiled"], seen
"""
    assert run(code, NEURONA_BACKEND="cpu").stderr == ""
    with neurona.use_backend("reference"), warnings.catch_warnings():
        warnings.simplefilter("error")
        neurona.ones(2, dtype=neurona.float64) + 1.0


def test_import_is_light() -> None:
    code = """
import sys, numpy
before = set(sys.modules)
import neurona
new = set(sys.modules) - before
outside = {name.split(".")[0] for name in new} - {"neurona"}
assert not outside & {"argparse", "urllib", "importlib.metadata", "dataclasses", "inspect"}, outside
assert "neurona.nn" not in new and "neurona.reference" not in new, new
neurona.nn, neurona.optim, neurona.kernels
assert "Trainer" in dir(neurona) and "nn" in dir(neurona)
"""
    assert run(code).stderr == ""
    with pytest.raises(AttributeError, match="module 'neurona' has no attribute 'nonsense'"):
        neurona.nonsense  # noqa: B018


def test_kernels_are_public() -> None:
    from neurona import kernels

    assert set(kernels.__all__) <= set(dir(kernels))
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert kernels.gemm(a, a, trans_b=True).tolist() == [[5, 14], [14, 50]]


# verify


def test_verify_passes_a_whole_training_step() -> None:
    with neurona.verify() as report:
        assert backends.active_name() == "verify"
        trained(steps=2)
    assert backends.active_name() == "cpu"
    assert report.calls > 40 and {"conv2d_forward", "sgd_step", "dropout"} <= set(report.worst)
    assert max(report.worst.values()) <= 1 and "conv2d_forward" in repr(report)


def test_verify_returns_what_the_compiled_kernels_return() -> None:
    plain = trained(steps=2)
    with neurona.verify():
        assert trained(steps=2) == plain


class Faulty:
    """A compiled backend with one kernel replaced."""

    def __init__(self, kernel: str, replacement: Any) -> None:
        self._kernel, self._replacement = kernel, replacement

    def __enter__(self) -> None:
        kernels = vars(backends.named("cpu"))
        self._right = kernels[self._kernel]
        kernels[self._kernel] = lambda *a, **k: self._replacement(self._right(*a, **k))

    def __exit__(self, *error: object) -> None:
        vars(backends.named("cpu"))[self._kernel] = self._right


def spoiled(y: np.ndarray, value: float) -> np.ndarray:
    wrong = np.array(y)
    wrong[(-1,) * wrong.ndim] = value
    return wrong


@pytest.mark.parametrize(
    "fault",
    [
        lambda y: spoiled(y, float("nan")),
        lambda y: spoiled(y, float("inf")),
        lambda y: y * np.float32(1.001),
        lambda y: np.swapaxes(y, 2, 3).copy(),
        lambda y: np.zeros_like(y),
        lambda y: y[:, :-1],
    ],
)
def test_verify_names_the_wrong_kernel(fault: Any) -> None:
    x, weight = neurona.randn(2, 3, 6, 6), neurona.randn(4, 3, 3, 3)
    with Faulty("conv2d_forward", fault), neurona.verify():
        with pytest.raises(RuntimeError) as caught:
            F.conv2d(x, weight, padding=1)
    message = str(caught.value)
    assert message.startswith("verify: conv2d_forward differs from the reference")
    assert "weight (4, 3, 3, 3)" in message and "x (2, 3, 6, 6)" in message


def test_verify_checks_what_is_changed_in_place() -> None:
    weight = nn.Parameter(np.ones(3, np.float32))
    weight.grad = neurona.ones(3)

    def wrong(result: Any) -> Any:
        weight.data[1] += 1e-3
        return result

    with Faulty("sgd_step", wrong), neurona.verify():
        with pytest.raises(RuntimeError, match=r"verify: sgd_step .* worst at \(1,\)"):
            optim.SGD([weight], lr=0.1).step()


def test_verify_accepts_special_values() -> None:
    with neurona.verify() as report:
        big = neurona.tensor([3e38, float("inf"), float("nan"), 1e-45])
        big * big
        big + big
        F.relu(big)
        neurona.ones(1, 4) @ big.reshape(4, 1)
    assert report.calls == 4


def test_verify_leaves_errors_to_the_kernels() -> None:
    with neurona.verify():
        with pytest.raises(ValueError, match="conv2d"):
            F.conv2d(neurona.ones(1, 1, 3, 3), neurona.ones(1, 1, 3, 3), stride=0)
    assert backends.active_name() == "cpu"
