"""Probes: curvature, gradients per layer and per input, votes, memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, nn, optim, probes
from neurona.backends import cpu
from neurona.trainer import Trainer
from nn_helpers import assert_close

RNG = np.random.default_rng(5)


def leaf(values: Any) -> Tensor:
    return neurona.tensor(values, dtype=neurona.float64, requires_grad=True)


# ---- numeric_hessian ----


@pytest.mark.parametrize(("x", "y"), [(1.0, 1.0), (2.0, -0.5)])
def test_g9_the_origin_of_two_weights_in_a_row_is_a_saddle(x: float, y: float) -> None:
    """(w1 w2 x - y)^2 at 0: eigenvalues +-2xy."""
    weights = leaf([0.0, 0.0])
    with neurona.use_backend("reference"):
        hessian = probes.numeric_hessian(lambda w: (w[0] * w[1] * x - y) ** 2, weights)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert_close(eigenvalues, sorted([-2 * x * y, 2 * x * y]), 1e-9, "saddle")
    assert weights.grad is None and weights.data.tolist() == [0.0, 0.0]


def test_hessian_of_a_quadratic_over_several_tensors() -> None:
    matrix = RNG.normal(size=(4, 4))
    first, second = leaf(RNG.normal(size=2)), leaf(RNG.normal(size=2))

    def half_square(a: Tensor, b: Tensor) -> Tensor:
        both = neurona.cat([a, b])
        return 0.5 * (both * (Tensor(matrix) @ both)).sum()

    with neurona.use_backend("reference"):
        hessian = probes.numeric_hessian(half_square, [first, second])
    assert_close(hessian, (matrix + matrix.T) / 2, 1e-8, "quadratic")


def test_n6a_hessian_of_one_line_fit() -> None:
    """Squared error halved of w x + b at x = 2: eigenvalues 0 and 5."""
    model = nn.Linear(1, 1, dtype=np.float64)
    x = Tensor(np.array([[2.0]]))
    with neurona.use_backend("reference"):
        hessian = probes.numeric_hessian(
            lambda *_: (0.5 * (model(x) - x) ** 2).sum(), model.parameters()
        )
    assert_close(hessian, [[4, 2], [2, 1]], 1e-9, "hessian")
    assert_close(np.linalg.eigvalsh(hessian), [0, 5], 1e-9, "eigenvalues")


# ---- gradients ----


def deep_sigmoid(depth: int) -> nn.Sequential:
    neurona.manual_seed(1)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(16, 16), nn.Sigmoid()]
    for module in layers[::2]:
        nn.init.xavier_normal_(module.weight, mode="fan_in")
    return nn.Sequential(*layers, nn.Linear(16, 1))


def test_g11_gradients_vanish_through_sigmoids() -> None:
    """Each layer multiplies by at most .25 times its weights' norm: here less than a half."""
    model = deep_sigmoid(6)
    model(Tensor(RNG.normal(size=(32, 16)).astype(np.float32))).sum().backward()
    norms = probes.gradient_norms(model)
    assert list(norms) == ["0", "2", "4", "6", "8", "10", "12"]
    values = list(norms.values())
    assert all(earlier < 0.5 * later for earlier, later in zip(values, values[1:], strict=False))
    first = model[0]
    squares = sum(float((p.grad.data.astype(np.float64) ** 2).sum()) for p in first.parameters())
    assert_close(norms["0"], np.sqrt(squares), 1e-12 * np.sqrt(squares), "norm")
    model.zero_grad()
    assert probes.gradient_norms(model) == {}


def test_gradient_monitor_keeps_a_mean_per_epoch() -> None:
    x = RNG.normal(size=(20, 16)).astype(np.float32)
    monitor = probes.GradientMonitor()
    model = deep_sigmoid(2)
    trainer = Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.0))
    trainer.fit(x, x[:, :1], batch_size=10, epochs=3, shuffle=False, verbose=0, callbacks=[monitor])
    assert {path: len(values) for path, values in monitor.history.items()} == {
        "0": 3,
        "2": 3,
        "4": 3,
    }
    norms = []
    for start in (0, 10):
        model.zero_grad()
        batch = Tensor(x[start : start + 10])
        nn.functional.mse_loss(model(batch), batch[:, :1]).backward()
        norms.append(probes.gradient_norms(model)["2"])
    assert_close(monitor.history["2"], [np.mean(norms)] * 3, 1e-7, "mean")


@pytest.mark.parametrize("target", [None, 2, [2, 0, 1]])
def test_g12_input_gradient_equals_differences(target: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3)).double()
    x = RNG.normal(size=(3, 4))
    with neurona.use_backend("reference"):
        gradient = probes.input_gradient(model, x, target)
        assert model.training and all(p.grad is None for p in model.parameters())
        model.eval()
        scores = model(Tensor(x)).data
        chosen = scores.argmax(axis=1) if target is None else np.broadcast_to(target, 3)
        numeric = np.zeros_like(x)
        for index in np.ndindex(*x.shape):
            step = np.zeros_like(x)
            step[index] = 1e-6
            change = model(Tensor(x + step)).data - model(Tensor(x - step)).data
            numeric[index] = change[index[0], chosen[index[0]]] / 2e-6
    assert_close(gradient, numeric, 1e-8, "input gradient")


def test_filters_are_copies_of_convolution_weights() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 2, 3)))
    dump = probes.filters(model)
    assert {path: weight.shape for path, weight in dump.items()} == {
        "0": (4, 1, 5, 5),
        "2.0": (2, 4, 3, 3),
    }
    dump["0"][...] = 0
    assert model[0].weight.data.any()


# ---- Ensemble ----


class Fixed(nn.Module):
    """Gives the same scores whatever it is asked."""

    def __init__(self, scores: list[list[float]]) -> None:
        super().__init__()
        self.scores = Tensor(np.array(scores, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return self.scores


def test_r16_votes() -> None:
    """One member that is sure outweighs two that are not, unless only the votes count."""
    members = [Fixed([[0.0, 9.0]]), Fixed([[0.5, 0.0]]), Fixed([[0.5, 0.0]])]
    x = neurona.zeros(1, 1)
    soft = probes.Ensemble(members)(x).data
    hard = probes.Ensemble(members, voting="hard")(x).data
    assert soft.argmax() == 1 and hard.argmax() == 0
    assert_close(hard, np.array([[2 / 3, 1 / 3]]), 1e-7, "hard")
    half = 1 / (1 + np.exp(-0.5))
    expected = (1 / (1 + np.exp(9.0)) + 2 * half) / 3
    assert_close(soft, np.array([[expected, 1 - expected]]), 1e-6, "soft")


def test_an_ensemble_is_a_module_and_trainer_applies_it() -> None:
    committee = probes.Ensemble([nn.Linear(4, 3) for _ in range(5)])
    assert len(list(committee.parameters())) == 10
    shares = Trainer(committee).predict(RNG.normal(size=(7, 4)).astype(np.float32))
    assert_close(shares.sum(axis=1), np.ones(7), 1e-6, "shares")


# ---- memory_estimate ----


def peak_activations(batch: int, training: bool) -> int:
    """The largest number of bytes in the kernels' memory during a forward, parameters apart."""
    model = nn.Sequential(*(nn.Linear(256, 256) for _ in range(6)))
    gc.collect()
    before, peaks = cpu.core.memory_statistics()["in_use"], []
    for module in model:
        module.register_forward_hook(
            lambda *_: peaks.append(cpu.core.memory_statistics()["in_use"] - before)
        )
    x = Tensor(RNG.normal(size=(batch, 256)).astype(np.float32))
    if training:
        model(x).sum().backward()
    else:
        with neurona.no_grad():
            model(x)
    return max(peaks)


def test_o20_memory_grows_with_the_batch_and_evaluation_needs_less() -> None:
    model = nn.Sequential(*(nn.Linear(256, 256) for _ in range(6)))
    estimates = [probes.memory_estimate(model, (batch, 256)) for batch in (64, 128, 256)]
    activations = [estimate.activations for estimate in estimates]
    assert activations == [7 * batch * 1024 for batch in (64, 128, 256)]
    assert estimates[0].parameters == estimates[0].gradients == 6 * (256 * 256 + 256) * 4
    applied = probes.memory_estimate(model, (256, 256), training=False)
    assert applied.activations == 2 * 256 * 1024 and applied.gradients == 0
    adam = probes.memory_estimate(model, (64, 256), buffers_per_parameter=2)
    assert adam.total == estimates[0].total + 2 * adam.parameters

    peaks = [peak_activations(batch, True) for batch in (64, 128, 256)]
    assert peaks[1] - peaks[0] == pytest.approx(6 * 64 * 1024, rel=0.01)
    assert peaks[2] - peaks[1] == pytest.approx(6 * 128 * 1024, rel=0.01)
    assert peak_activations(256, False) < 0.5 * peaks[2]


def test_o6_smaller_batches_need_less_memory_and_update_more_often() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    memory = {n: probes.memory_estimate(model, (n, 256)).total for n in (1, 64, 4096)}
    assert memory[1] < memory[64] < memory[4096]
    assert peak_activations(1, True) < peak_activations(64, True) < peak_activations(1024, True)
    data = neurona.utils.data.TensorDataset(np.zeros((4096, 1), np.float32))
    updates = [len(neurona.utils.data.DataLoader(data, batch_size=n)) for n in (1, 64, 4096)]
    assert updates == [4096, 64, 1]


# ---- hyper-parameters ----


def build_line(lr: float, momentum: float = 0.0) -> Trainer:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    return Trainer(model, "mse", optimizer)


ONES = np.ones((4, 1), np.float32)


def test_o2_sweep_of_the_rate() -> None:
    """L = (w - 1)^2, so that w - 1 shrinks by 1 - 2 lr: slow, at once, never, away."""
    losses = probes.lr_sweep(build_line, [0.1, 0.5, 1.0, 1.1], ONES, ONES, epochs=400)
    assert_close(losses[0.1][:3], [1.0, 0.64, 0.64**2], 1e-6, "slow")
    assert losses[0.5][:2] == [1.0, 0.0]
    assert losses[1.0] == [1.0] * 400
    assert len(losses[1.1]) < 400 and not np.isfinite(losses[1.1][-1])


def test_o18_grid_search() -> None:
    grid = {"lr": [0.01, 0.1, 2.0], "momentum": [0.0, 0.5]}
    trials = probes.grid_search(
        build_line, grid, ONES, ONES, epochs=300, validation_data=(ONES, ONES)
    )
    assert [tuple(trial.parameters.values()) for trial in trials] == [
        (lr, momentum) for lr in (0.01, 0.1, 2.0) for momentum in (0.0, 0.5)
    ]
    values = [trial.value for trial in trials]
    assert values[1] < values[0] and np.isnan(values[4])
    assert trials[0].history.history["val_loss"][-1] == values[0]
    with pytest.raises(ValueError, match="monitor must be one of loss, lr, got 'val_loss'"):
        probes.grid_search(build_line, {"lr": [0.1]}, ONES, ONES)
    with pytest.raises(ValueError, match="grid must have a name, and a value for each"):
        probes.grid_search(build_line, {"lr": []}, ONES, ONES)
    with pytest.raises(TypeError, match="build must give a Trainer, got float"):
        probes.grid_search(lambda lr: lr, {"lr": [0.1]}, ONES, ONES)


# ---- rejected arguments ----


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: probes.numeric_hessian(abs, []), ValueError, "inputs must not be empty"),
        (lambda: probes.numeric_hessian(abs, [1.0]), TypeError, "must be a Tensor, got float"),
        (lambda: probes.numeric_hessian(abs, neurona.ones(2)), TypeError, "dtype float64, got"),
        (
            lambda: probes.numeric_hessian(abs, neurona.ones(2, dtype=neurona.float64)),
            ValueError,
            "must be a leaf that requires grad",
        ),
        (lambda: probes.numeric_hessian(abs, leaf([1.0]), eps=0), ValueError, "eps must be"),
        (
            lambda: probes.numeric_hessian(lambda x: x * 2, leaf([1.0, 2.0])),
            ValueError,
            "func must give a scalar Tensor",
        ),
        (lambda: probes.gradient_norms(3), TypeError, "model must be a Module, got int"),
        (lambda: probes.input_gradient(nn.Linear(2, 2), [[1, 2]]), TypeError, "floating dtype"),
        (
            lambda: probes.input_gradient(nn.Linear(2, 2), np.ones((1, 2), np.float32), [2]),
            ValueError,
            "target must be in 0..1, got 2",
        ),
        (
            lambda: probes.input_gradient(nn.Linear(2, 2), np.ones((1, 2), np.float32), [0, 1]),
            ValueError,
            "target must be 1 class indices",
        ),
        (lambda: probes.Ensemble([]), ValueError, "models must not be empty"),
        (lambda: probes.Ensemble([abs]), TypeError, r"models\[0\] must be a Module"),
        (
            lambda: probes.Ensemble([nn.Linear(1, 1)], voting="loud"),
            ValueError,
            "voting must be one of soft, hard, got 'loud'",
        ),
        (
            lambda: probes.Ensemble([nn.Linear(1, 2), nn.Linear(1, 3)])(neurona.zeros(1, 1)),
            ValueError,
            r"models\[1\] must have an output of shape \(1, 2\), got \(1, 3\)",
        ),
        (
            lambda: probes.memory_estimate(nn.Linear(1, 2), (1, 1), buffers_per_parameter=-1),
            ValueError,
            "buffers_per_parameter must be an int >= 0",
        ),
        (lambda: probes.memory_estimate(nn.Linear(1, 2), (1, 3)), ValueError, "refuses input_size"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], kind: type, message: str) -> None:
    with neurona.use_backend("reference"), pytest.raises(kind, match=message):
        call()
