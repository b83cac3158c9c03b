"""`freeze`: constant weights that the kernels read in their own order, and never stale ones."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import harness
import neurona
from cases import CONV2D, CONV2D_LARGE, Conv2d
from compare import assert_same_bits
from neurona import nn
from neurona.freezing import ConstantArray, _constant
from test_conv2d import operands, variants, winograd_bound

PACKED = [
    Conv2d(1, 64, 7, 7, 64, 3, 3, 1, 1),  # Winograd: its weights fit into L2
    Conv2d(2, 20, 13, 14, 37, 5, 5, 1, 2),
    Conv2d(1, 130, 5, 7, 137, 3, 3, 1, 1),  # few tiles of many channels: direct
    Conv2d(1, 256, 14, 13, 100, 3, 3, 2, 1),
    Conv2d(1, 96, 7, 7, 200, 1, 1),  # a product of few rows: direct
    Conv2d(1, 24, 9, 9, 40, 3, 3, 1, 0, 1, 4),
]
CASES = pytest.mark.parametrize("case", [*CONV2D, *CONV2D_LARGE, *PACKED], ids=str)


@CASES
def test_packed_weights_within_the_bound(compiled: Any, case: Conv2d) -> None:
    """One algorithm's bits, and close to the reference; the second call reads what is kept."""
    x, weight, bias = operands(harness.normals, case)["forward"]
    constant = _constant(weight)

    def call(ops: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        w = constant if w is weight and ops is compiled else w
        return ops.conv2d_forward(x, w, b, **case.options, activation="relu")

    (size,) = harness.magnitude(
        lambda ops, x, w, b: ops.conv2d_forward(x, w, b, **case.options), (x, weight, bias)
    )
    what = f"conv2d_forward {case} packed"
    for _ in range(2):
        got = call(compiled, x, weight, bias)
        expected = [
            compiled.conv2d_forward(x, weight, bias, **case.options, activation="relu", variant=v)
            for v in variants(compiled, case, "forward")
            if v in (None, "direct", "winograd")
        ]
        assert any(np.array_equal(got, bits) for bits in expected), what
        bounds = [harness.random_bound(case.terms, size)]
        if "winograd" in variants(compiled, case, "forward"):
            bounds = [np.maximum(bounds[0], winograd_bound(case.terms, size))]
        harness.check_within(compiled, call, (x, weight, bias), bounds, what=what)


@pytest.mark.parametrize("case", PACKED, ids=str)
def test_packed_weights_are_read(compiled: Any, case: Conv2d) -> None:
    """Where packing pays the elements themselves are no longer looked at."""
    x, weight, bias = operands(harness.normals, case)["forward"]
    constant = _constant(weight)
    before = compiled.conv2d_forward(x, constant, bias, **case.options)
    elements = constant.base
    elements.flags.writeable = True  # what no user should do
    elements[...] = np.nan
    elements.flags.writeable = False
    assert_same_bits(
        compiled.conv2d_forward(x, constant, bias, **case.options), before, what=str(case)
    )


@pytest.mark.parametrize(
    "shape", [(1, 400, 120), (3, 7, 5), (14, 1030, 33), (15, 64, 97), (1, 5, 0)]
)
def test_packed_columns_give_the_same_bits(compiled: Any, shape: tuple[int, int, int]) -> None:
    rows, features, outputs = shape
    rng = harness.rng_of(f"packed linear {shape}")
    x, weight = harness.normals(rng, (rows, features)), harness.normals(rng, (outputs, features))
    bias = harness.normals(rng, (outputs,))
    constant = _constant(weight)
    for threads in (1, 2):
        neurona.set_num_threads(threads)
        for _ in range(2):
            got = compiled.linear_forward(x, constant, bias, activation="relu")
            expected = compiled.linear_forward(x, weight, bias, activation="relu")
            assert_same_bits(got, expected, what=f"linear_forward {shape} packed")


def test_packed_columns_are_read(compiled: Any) -> None:
    """By products of few rows; those of many pack in passing."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((120, 400)).astype(np.float32)
    x = rng.standard_normal((300, 400)).astype(np.float32)
    constant = _constant(weight)
    before = compiled.linear_forward(x[:2], constant)
    elements = constant.base
    elements.flags.writeable = True
    elements[...] = np.nan
    elements.flags.writeable = False
    assert_same_bits(compiled.linear_forward(x[:2], constant), before, what="two rows")
    assert np.isnan(compiled.linear_forward(x, constant)).all()


def network() -> nn.Sequential:
    neurona.manual_seed(0)
    return nn.Sequential(
        *[nn.Conv2d(3, 40, 3, padding=1, bias=False), nn.BatchNorm2d(40), nn.ReLU()],
        *[nn.Conv2d(40, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)],
        *[nn.Conv2d(64, 96, 1), nn.Flatten(), nn.Linear(96 * 16, 10)],
    )


X = neurona.tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))


def outputs(model: nn.Module) -> np.ndarray:
    with neurona.no_grad():
        return model(X).numpy()


def test_a_copy_for_inference() -> None:
    model = network().train()
    before = [tensor.numpy().copy() for tensor in model.state_dict().values()]
    frozen = neurona.freeze(model)
    assert model.training and not frozen.training
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())
    for tensor, old in zip(model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), old)
    np.testing.assert_allclose(outputs(frozen), outputs(model.eval()), rtol=0, atol=1e-5)
    frozen = neurona.freeze(neurona.fold_batch_norm(model, X))
    np.testing.assert_allclose(outputs(frozen), outputs(model), rtol=0, atol=1e-5)


def test_recorded_predictions() -> None:
    frozen = neurona.freeze(network())
    predict = neurona.record(frozen)
    for _ in range(5):
        assert_same_bits(predict(X).numpy(), outputs(frozen), what="record(freeze)")


def test_weights_cannot_be_changed_unseen() -> None:
    model = network()
    frozen = neurona.freeze(model)
    first: Any = frozen[0]
    outputs(frozen)
    with pytest.raises(ValueError, match="read-only"):
        first.weight.data[...] = 0
    with neurona.no_grad(), pytest.raises(ValueError, match="read-only"):
        first.weight.mul_(2)
    with pytest.raises(ValueError, match="read-only"):
        frozen.load_state_dict(model.state_dict())
    first.weight = nn.Parameter(neurona.zeros(40, 3, 3, 3))
    changed: Any = copy.deepcopy(model).eval()
    changed[0].weight.data[...] = 0
    np.testing.assert_allclose(outputs(frozen), outputs(changed), rtol=0, atol=1e-5)


def test_copies_and_views_are_ordinary_arrays() -> None:
    frozen: Any = neurona.freeze(network())
    expected = outputs(frozen)
    for other in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        weight = other[3].weight.data
        assert getattr(weight, "packed", None) is None
        np.testing.assert_allclose(outputs(other), expected, rtol=0, atol=1e-5)
        weight[...] = 0
        assert abs(outputs(other) - expected).max() > 1e-3
    constant = frozen[3].weight.data
    assert type(constant) is ConstantArray and constant.packed is not None
    assert constant[:4].packed is None and constant.copy().packed is None


def test_another_memory_than_was_packed_is_read_as_it_is(compiled: Any) -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.standard_normal((64, 64, 3, 3)).astype(np.float32) for _ in range(2))
    x = rng.standard_normal((1, 64, 7, 7)).astype(np.float32)
    forged = two.view(ConstantArray)
    forged.packed = _constant(one).packed
    expected = compiled.conv2d_forward(x, two)
    assert_same_bits(compiled.conv2d_forward(x, forged), expected, what="packed of another array")
    reshaped = _constant(one)
    reshaped.shape = (32, 128, 3, 3)
    wide = rng.standard_normal((1, 128, 7, 7)).astype(np.float32)
    assert_same_bits(
        compiled.conv2d_forward(wide, reshaped),
        compiled.conv2d_forward(wide, one.reshape(32, 128, 3, 3)),
        what="reshaped in place",
    )
    forged.packed = "nonsense"
    assert_same_bits(compiled.conv2d_forward(x, forged), expected, what="packed is a string")


def test_threads_share_a_frozen_model() -> None:
    frozen = neurona.freeze(network())
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(outputs(frozen))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert_same_bits(result, outputs(frozen), what="threads")


def test_what_is_not_packed() -> None:
    double = network().double()
    frozen: Any = neurona.freeze(double)
    assert not isinstance(frozen[0].weight.data, ConstantArray)
    with pytest.raises(TypeError, match="freeze: model must be a Module, got Tensor"):
        neurona.freeze(X)  # type: ignore[arg-type]
    from neurona.backends import cpu

    for wrong in (None, 3, [1.0], np.zeros((2, 2, 3, 3))):
        with pytest.raises((TypeError, ValueError), match="PackedWeight"):
            cpu.PackedWeight(wrong)
