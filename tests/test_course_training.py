"""Gradient descent and its relatives on problems small enough for paper: every number by hand.

The letters are rows of the course: O optimizers, N checkable numbers, E mistakes of its notes that
must not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, nn, optim
from neurona.optim import lr_scheduler
from nn_helpers import assert_close

Make = Callable[[Any], optim.Optimizer]
SIX_DIGITS = 5.1e-7


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    with neurona.use_backend("reference"):
        yield


def path(
    make: Make,
    gradient: Callable[[np.ndarray], np.ndarray] = lambda theta: theta,
    start: Any = (1.0,),
    steps: int = 5,
) -> np.ndarray:
    """theta after every step, (steps, D); on theta^2 / 2 from 1 unless told otherwise."""
    theta = nn.Parameter(np.array(start, float))
    optimizer = make([theta])

    def closure() -> None:
        theta.grad = Tensor(gradient(theta.data).copy())

    points = []
    for _ in range(steps):
        optimizer.step(closure)
        points.append(theta.data.copy())
    return np.array(points)


QUADRATIC: dict[str, tuple[Make, list[float]]] = {
    "O1": (lambda p: optim.SGD(p, lr=0.1), [0.9, 0.81, 0.729, 0.6561, 0.59049]),
    "O7": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), [0.9, 0.72, 0.486, 0.2268, -0.02916]),
    "O7 velocity": (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, velocity=True),
        [0.9, 0.72, 0.486, 0.2268, -0.02916],
    ),
    "O8": (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, velocity=True),
        [0.9, 0.729, 0.51759, 0.294589, 0.084499],
    ),
    "O8 ahead": (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        [0.81, 0.5751, 0.327321, 0.093888, -0.104582],
    ),
    "O12": (lambda p: optim.Adagrad(p, lr=0.1), [0.9, 0.833104, 0.780456, 0.736223, 0.697715]),
    "O12 eps inside": (
        lambda p: optim.Adagrad(p, lr=0.1, eps_inside=True),
        [0.9, 0.833104, 0.780456, 0.736223, 0.697715],
    ),
    "O13": (
        lambda p: optim.RMSprop(p, lr=0.1, alpha=0.9),
        [0.683772, 0.498871, 0.369181, 0.272825, 0.199795],
    ),
    "O13 eps inside": (
        lambda p: optim.RMSprop(p, lr=0.1, alpha=0.9, eps_inside=True),
        [0.683772, 0.498871, 0.369181, 0.272825, 0.199795],
    ),
    "O14": (lambda p: optim.Adam(p, lr=0.1), [0.9, 0.800412, 0.701586, 0.603939, 0.507964]),
    "O15": (
        lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.01),
        [0.899, 0.798519, 0.698911, 0.600599, 0.50408],
    ),
}


@pytest.mark.parametrize("row", QUADRATIC)
def test_half_theta_squared(row: str) -> None:
    make, expected = QUADRATIC[row]
    assert_close(path(make).ravel(), expected, SIX_DIGITS, "quadratic")


def test_o2_effect_of_the_rate_on_theta_squared() -> None:
    def run(lr: float) -> np.ndarray:
        return path(lambda p: optim.SGD(p, lr=lr), lambda theta: 2 * theta, steps=30).ravel()

    assert abs(run(0.1)[-1]) < 2e-3
    assert run(0.5)[0] == 0.0
    assert run(1.0).tolist() == [-1.0, 1.0] * 15
    assert abs(run(1.1)[-1]) > 200


def test_o7_velocity_is_the_expansion() -> None:
    """E8: v_k = -lr sum over tau < k of momentum^tau grad_{k-1-tau}."""
    rng, lr, momentum = np.random.default_rng(1), 0.1, 0.8
    grads = rng.normal(size=(7, 3))
    theta = nn.Parameter(np.zeros(3))
    optimizer = optim.SGD([theta], lr=lr, momentum=momentum, velocity=True)
    for k, grad in enumerate(grads, 1):
        theta.grad = Tensor(grad)
        optimizer.step()
        expansion = -lr * sum(momentum**tau * grads[k - 1 - tau] for tau in range(k))
        assert_close(optimizer.state[theta]["velocity"], expansion, 1e-15, "velocity")


def test_momentum_while_the_rate_changes() -> None:
    """1L: lr outside the velocity .882, inside it .801."""

    def after_two(velocity: bool) -> float:
        theta = nn.Parameter(np.ones(1))
        optimizer = optim.SGD([theta], lr=0.1, momentum=0.9, velocity=velocity)
        for lr in (0.1, 0.01):
            optimizer.param_groups[0]["lr"] = lr
            theta.grad = Tensor(theta.data.copy())
            optimizer.step()
        return theta.item()

    assert_close(after_two(False), 0.882, 1e-15, "outside")
    assert_close(after_two(True), 0.801, 1e-15, "inside")


def test_o8_both_forms_are_the_same_path_seen_from_two_points() -> None:
    """phi = theta + momentum v, the point ahead of theta's next step."""
    theta = path(QUADRATIC["O8"][0], steps=8).ravel()
    phi = path(QUADRATIC["O8 ahead"][0], steps=8).ravel()
    velocity = np.diff(np.concatenate([[1.0], theta]))
    assert_close(phi, theta + 0.9 * velocity, 1e-15, "phi")


def test_n23_inverse_time_decay() -> None:
    """O9, E9, O11: from the initial rate, per update, and apart from weight decay."""
    optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=0.01, weight_decay=0.5)
    schedule = lr_scheduler.InverseTimeDecay(optimizer, decay=1e-6)
    expected = {0: 0.01, 600: 0.009994004, 3000: 0.009970090, 6000: 0.009940358}
    compounding = 0.01
    for update in range(6001):
        if update in expected:
            assert_close(schedule.get_last_lr()[0], expected[update], 5.1e-10, "lr")
        if update < 6000:
            compounding /= 1 + 1e-6 * update
        optimizer.step()
        schedule.step()
    assert_close(compounding, 1.58e-10, 5e-13, "what must not happen")
    assert optimizer.param_groups[0]["weight_decay"] == 0.5


def test_o14_first_step_is_the_rate_whatever_the_gradient() -> None:
    for g in (-3e4, -0.5, 1e-3, 7.0):
        step = path(lambda p: optim.Adam(p, lr=0.1), lambda theta, g=g: np.full(1, g), steps=1)
        assert_close(step.item(), 1.0 - 0.1 * np.sign(g), 1e-5, "adam")


def test_e6_adam_without_correction_and_with_eps_inside() -> None:
    def first_step(g: float, **options: bool) -> float:
        make: Make = lambda p: optim.Adam(p, lr=0.1, **options)  # noqa: E731
        return (1.0 - path(make, lambda theta: np.full(1, g), steps=1).item()) / 0.1

    assert_close(first_step(1.0), 1.0, 1e-7, "corrected")
    assert_close(first_step(1.0, bias_correction=False), 3.162, 5e-4, "not corrected")
    inside = first_step(1e-4, bias_correction=False, eps_inside=True)
    assert_close(inside, 0.09995, 5e-6, "eps inside")


def test_e7_moving_average_in_closed_form() -> None:
    """m_n = (1 - b) sum of b^(n-i) g_i: the last gradient has b^0, so one more b costs a tenth."""
    grads = np.random.default_rng(2).normal(size=6)
    theta = nn.Parameter(np.zeros(1))
    optimizer = optim.Adam([theta], betas=(0.9, 0.999))
    for g in grads:
        theta.grad = Tensor(np.array([g]))
        optimizer.step()
    closed = 0.1 * sum(0.9 ** (6 - i) * g for i, g in enumerate(grads, 1))
    mean = optimizer.state[theta]["exp_avg"].item()
    assert_close(mean, closed, 1e-15, "exp_avg")
    assert_close(0.037701 / 0.041890, 0.9, 3e-5, "the notes' example")


@pytest.mark.parametrize("lr_decoupled", [True, False])
def test_r5_weight_decay_without_gradient(lr_decoupled: bool) -> None:
    """theta shrinks by 1 - lr wd."""
    make: Make = (
        (lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.5))
        if lr_decoupled
        else (lambda p: optim.SGD(p, lr=0.1, weight_decay=0.5))
    )
    points = path(make, lambda theta: np.zeros(1), steps=3).ravel()
    assert_close(points, 0.95 ** np.arange(1, 4), 1e-15, "decay")


@pytest.mark.parametrize("row", QUADRATIC)
def test_e2_descent_lowers_the_loss(row: str) -> None:
    assert path(QUADRATIC[row][0], steps=1).item() ** 2 < 1.0


def test_e10_a_positive_gradient_means_that_a_larger_parameter_has_a_larger_loss() -> None:
    theta = nn.Parameter(np.array([0.7]))

    def loss() -> Tensor:
        return (theta * theta).sum()

    before = loss()
    before.backward()
    assert theta.grad is not None and theta.grad.item() > 0
    theta.data += 0.01
    assert loss().item() > before.item()


def test_e18_the_state_of_adagrad_keeps_its_size_and_its_entries_grow() -> None:
    theta = nn.Parameter(np.ones((2, 3)))
    optimizer = optim.Adagrad([theta], lr=0.1)
    previous = np.zeros((2, 3))
    for _ in range(4):
        theta.grad = Tensor(theta.data.copy())
        optimizer.step()
        total = optimizer.state[theta]["sum"].data
        assert total.shape == (2, 3) and (total > previous).all()
        previous = total.copy()


def test_e8_momentum_of_the_velocity_form_is_below_1() -> None:
    theta = nn.Parameter(np.ones(1))
    with pytest.raises(ValueError, match=r"velocity must come with momentum in \[0, 1\)"):
        optim.SGD([theta], momentum=1.0, velocity=True)
    with pytest.raises(ValueError, match="momentum must be finite and >= 0, got -0.1"):
        optim.SGD([theta], momentum=-0.1)
    with pytest.raises(ValueError, match="dampening 0.5"):
        optim.SGD([theta], momentum=0.9, dampening=0.5, velocity=True)


RACE: dict[str, tuple[Make, int]] = {
    "SGD": (lambda p: optim.SGD(p, lr=0.01), 688),
    "momentum": (lambda p: optim.SGD(p, lr=0.01, momentum=0.9), 124),
    "Nesterov": (
        lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, velocity=True),
        62,
    ),
    "Adam": (lambda p: optim.Adam(p, lr=0.1), 82),
    "Adagrad": (lambda p: optim.Adagrad(p, lr=0.5), 13),
}


def canyon(theta: np.ndarray) -> np.ndarray:
    """The gradient of (x^2 + 100 y^2) / 2."""
    return np.array([1.0, 100.0]) * theta


@pytest.mark.parametrize("name", RACE)
def test_o16_steps_through_a_canyon(name: str) -> None:
    """From (1, 1) until both coordinates are below 1e-3."""
    make, steps = RACE[name]
    largest = np.abs(path(make, canyon, (1.0, 1.0), 700)).max(axis=1)
    assert int(np.argmax(largest < 1e-3)) + 1 == steps


def test_o16_a_rate_above_two_over_the_curvature_diverges() -> None:
    points = path(lambda p: optim.SGD(p, lr=0.021), canyon, (1.0, 1.0), 200)
    assert abs(points[-1, 1]) > 1e6


def test_o17_momentum_oscillates_less_often() -> None:
    def turns(momentum: float) -> int:
        make: Make = lambda p: optim.SGD(p, lr=0.019, momentum=momentum)  # noqa: E731
        steep = path(make, canyon, (1.0, 1.0), 50)[:, 1]
        return int(np.count_nonzero(np.diff(np.sign(steep))))

    assert turns(0.9) < turns(0.0) == 49


# ---- exercises with one sample ----


def line(w: float, b: float) -> nn.Linear:
    model = nn.Linear(1, 1, dtype=np.float64)
    model.weight.data[...], model.bias.data[...] = w, b
    return model


def huber(delta: float) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        error = (output - target).abs()
        return neurona.where(
            error < delta, 0.5 * error * error, delta * (error - 0.5 * delta)
        ).mean()

    return loss


def replay(
    model: nn.Module,
    optimizer: optim.Optimizer,
    steps: int,
    sample: tuple[float, float] = (2.0, 2.0),
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.l1_loss,
) -> list[tuple[float, ...]]:
    """(w, b, L, dL/dw, dL/db) before each step."""
    x, y = (Tensor(np.array([[value]])) for value in sample)
    rows = []
    for _ in range(steps):
        w, b = (parameter.item() for parameter in model.parameters())
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        grads = [parameter.grad.item() for parameter in model.parameters() if parameter.grad]
        rows.append((w, b, value.item(), *grads))
        optimizer.step()
    return rows


def test_n6_absolute_error_ends_in_a_cycle_of_two() -> None:
    model = line(2.7, 1.0)
    rows = replay(model, optim.SGD(model.parameters(), lr=0.3), 20)
    expected = [
        (2.7, 1.0, 4.4, 2.0, 1.0),
        (2.1, 0.7, 2.9, 2.0, 1.0),
        (1.5, 0.4, 1.4, 2.0, 1.0),
        (0.9, 0.1, 0.1, -2.0, -1.0),
        (1.5, 0.4, 1.4, 2.0, 1.0),
        (0.9, 0.1, 0.1, -2.0, -1.0),
    ]
    assert_close(rows[:6], expected, 2e-15, "N6")
    assert_close(rows[18:], expected[4:], 2e-14, "N6, later")


def test_n6a_huber_from_the_fourth_row() -> None:
    model = line(0.9, 0.1)
    rows = replay(model, optim.SGD(model.parameters(), lr=0.3), 60, loss=huber(0.11))
    assert_close([row[2] for row in rows[:2]], [0.005, 0.00125], 1e-15, "L")
    assert_close(rows[0][3:], (-0.2, -0.1), 1e-15, "gradient")
    assert_close(rows[1][:2], (0.96, 0.13), 1e-15, "first step")
    later = [
        (0.93, 0.115, 0.0003125),
        (0.945, 0.1225, 7.8125e-5),
        (0.9375, 0.11875, 1.953125e-5),
    ]
    assert_close([row[:3] for row in rows[2:5]], later, 1e-15, "later steps")
    assert_close(rows[-1][:2], (0.94, 0.12), 1e-15, "limit")
    residual = [2 * w + b - 2 for w, b, *_ in rows[:8]]
    assert_close(residual[1:], [-0.5 * value for value in residual[:-1]], 1e-15, "halved")


@pytest.mark.parametrize(("lr", "stable"), [(0.39, True), (0.41, False)])
def test_n6a_stable_below_two_over_the_largest_eigenvalue(lr: float, stable: bool) -> None:
    """The Hessian [[4, 2], [2, 1]] has the eigenvalues 0 and 5."""
    model = line(0.9, 0.1)
    rows = replay(model, optim.SGD(model.parameters(), lr=lr), 30, loss=huber(1.0))
    assert (rows[-1][2] < rows[0][2]) == stable


def test_n6a_huber_from_the_first_row() -> None:
    model = line(2.7, 1.0)
    rows = replay(model, optim.SGD(model.parameters(), lr=0.3), 5, loss=huber(1.0))
    assert_close([row[2] for row in rows], [3.9, 2.4, 0.9, 0.005, 0.00125], 2e-15, "delta 1")
    model = line(2.7, 1.0)
    rows = replay(model, optim.SGD(model.parameters(), lr=0.3), 2, loss=huber(0.11))
    assert_close(rows[1][:2], (2.634, 0.967), 1e-15, "delta .11")
    assert_close(2 * rows[1][0] + rows[1][1] - 2, 4.235, 1e-15, "e")
    assert_close([row[2] for row in rows], [0.47795, 0.4598], 1e-15, "L")


def test_n6b_adagrad_after_three_plain_steps() -> None:
    """G = [[16, 8], [8, 4]]: both parameters move .3 / sqrt(4), whatever their gradients."""
    model = line(2.7, 1.0)
    plain = optim.SGD(model.parameters(), lr=0.3)
    # A rate of 0 sums the squares of the first rows without moving.
    adagrad = optim.Adagrad(model.parameters(), lr=0.0, eps=0.0)
    sample = Tensor(np.array([[2.0]]))
    rows = []
    for k in range(7):
        optimizer = plain if k < 3 else adagrad
        model.zero_grad()
        value = nn.functional.l1_loss(model(sample), sample)
        value.backward()
        rows.append((model.weight.item(), model.bias.item(), value.item()))
        if k == 3:
            adagrad.param_groups[0]["lr"] = 0.3
        adagrad.step()
        if optimizer is plain:
            plain.step()
        if k == 3:
            sums = [adagrad.state[parameter]["sum"].item() for parameter in model.parameters()]
            assert sums == [16.0, 4.0]
    assert_close(rows[4], (1.05, 0.25, 0.35), 1e-12, "n+4")
    expected = [(0.915836, 0.115836, 0.052492), (1.038310, 0.238310, 0.314931)]
    assert_close(rows[5:], expected, SIX_DIGITS, "n+5, n+6")
    # 1.05 - .3/sqrt(5) + .3/sqrt(6) - .3/sqrt(7) = .924921; a table rounded on the way has .924923.
    last = 1.05 - 0.3 / 5**0.5 + 0.3 / 6**0.5 - 0.3 / 7**0.5
    assert_close((model.weight.item(), model.bias.item()), (last, last - 0.8), 1e-12, "n+7")
    assert_close((last, 2 - 2 * last - (last - 0.8)), (0.924923, 0.025232), 6e-6, "n+7, rounded")


def test_n6b_adagrad_started_at_other_rows() -> None:
    model = line(0.9, 0.1)
    rows = replay(model, optim.Adagrad(model.parameters(), lr=0.3, eps=0.0), 3)
    assert_close(rows[1][:3], (1.2, 0.4, 0.8), 1e-12, "from n+3")
    assert_close(rows[2][2], 0.163604, SIX_DIGITS, "from n+3")
    model = line(2.7, 1.0)
    rows = replay(model, optim.Adagrad(model.parameters(), lr=0.3, eps=0.0), 4)
    assert_close([row[2] for row in rows], [4.4, 3.5, 2.86360, 2.34399], 5.1e-6, "from n")


def test_n12_one_sample_is_fitted_and_the_identity_is_not_found() -> None:
    model = line(2.0, 0.0)
    unit = nn.Sequential(model, nn.ReLU())
    rows = replay(unit, optim.SGD(unit.parameters(), lr=0.1), 7, sample=(1.0, 1.0))
    assert_close([row[2] for row in rows[:6]], [1.0, 0.8, 0.6, 0.4, 0.2, 0.0], 1e-15, "L")
    assert [row[3:] for row in rows[:5]] == [(1.0, 1.0)] * 5
    assert_close(rows[1][:2], (1.9, -0.1), 1e-15, "first step")
    assert_close(rows[5][:2], (1.5, -0.5), 1e-15, "fits the sample")
    # Rounding leaves 4.4e-16, whose sign is a full gradient: the step bounces off the minimum.
    assert 0.0 < rows[5][2] < 1e-15
    assert_close(rows[6][:2], (1.6, -0.4), 1e-14, "bounce")
