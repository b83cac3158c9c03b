"""`neurona.record`: a repeated step has the bits of the step itself. Refusals have a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.backends import DeviceArray
from neurona.nn import functional as F

Batch = tuple[neurona.Tensor, neurona.Tensor]


def batches(count: int, *shape: int, seed: int = 0) -> list[Batch]:
    """Images or rows with labels of 10 classes."""
    random = np.random.default_rng(seed)
    return [
        (
            neurona.tensor(random.standard_normal(shape).astype(np.float32)),
            neurona.tensor(random.integers(0, 10, shape[0])),
        )
        for _ in range(count)
    ]


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 9), nn.Tanh(), nn.Linear(9, 10)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1)],
        *[nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)],
    )


def flat() -> nn.Module:
    """Images given in C order are flattened as they are."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 10))


class Residual(nn.Module):
    """Batch norm, one of them used twice and one not at all, an addition and global pooling."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm, self.unused = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        return self.head(F.relu(self.norm(self.body(self.norm(x))) + x))


def dropping() -> nn.Module:
    """Dropout twice, images and rows, once of which nothing is left to draw."""
    return nn.Sequential(
        *[nn.Conv2d(3, 6, 3, padding=1), nn.Dropout(0.3), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Dropout(0.5), nn.Dropout(0.0), nn.Linear(96, 10)],
    )


def plain_sgd(parameters: Any) -> optim.SGD:
    return optim.SGD(parameters, lr=0.1)


def sgd(parameters: Any) -> optim.SGD:
    return optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)


def adam(parameters: Any) -> optim.Adam:
    return optim.Adam(parameters, lr=0.01, weight_decay=1e-3, amsgrad=True)


def adamw(parameters: Any) -> optim.AdamW:
    return optim.AdamW(parameters, lr=0.01, betas=(0.8, 0.9))


def on_host(array: Any) -> np.ndarray:
    return array.numpy() if isinstance(array, DeviceArray) else array


class Training:
    """A model with its optimizer, and its step by hand or recorded."""

    def __init__(
        self, make_model: Any, make_optimizer: Any, recorded: bool, device: str = "cpu"
    ) -> None:
        neurona.manual_seed(5)
        self.model = make_model().to(device)
        self.device = device
        self.optimizer = make_optimizer(self.model.parameters())
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        recording = neurona.record(self.model, self.loss, self.optimizer)
        self.step: Any = recording if recorded else self._step

    def _step(self, x: Any, y: Any) -> Any:
        loss = self.loss(self.model(x.to(self.device)), y.to(self.device))
        self.model.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that training changes."""
        found = {name: on_host(tensor.data) for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                found[f"{name} gradient"] = on_host(parameter.grad.data)
            for key, value in self.optimizer.state.get(parameter, {}).items():
                array = value.data if isinstance(value, neurona.Tensor) else np.asarray(value)
                found[f"{name} {key}"] = on_host(array)
        return found


def pair(make_model: Any, make_optimizer: Any, device: str = "cpu") -> tuple[Training, Training]:
    plain, fast = (Training(make_model, make_optimizer, way, device) for way in (False, True))
    return plain, fast


def assert_same(a: Training, b: Training) -> None:
    expected, got = a.arrays(), b.arrays()
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert a.optimizer._step_count == b.optimizer._step_count


def train_both(plain: Training, fast: Training, data: list[Batch]) -> None:
    for x, y in data:
        before = neurona.get_rng_state()
        loss, after = fast.step(x, y).item(), neurona.get_rng_state()
        neurona.set_rng_state(before)
        assert loss == plain.step(x, y).item()
        assert neurona.get_rng_state() == after
        assert_same(plain, fast)


CASES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "mlp": (mlp, sgd, (7, 20)),
    "no momentum": (mlp, plain_sgd, (7, 20)),
    "lenet": (lenet, sgd, (5, 3, 8, 8)),
    "flat": (flat, sgd, (5, 3, 8, 8)),
    "residual": (Residual, sgd, (4, 3, 6, 6)),
    "adam": (lenet, adam, (5, 3, 8, 8)),
    "dropout": (dropping, sgd, (5, 3, 8, 8)),
    "adamw": (Residual, adamw, (4, 3, 6, 6)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_bits_of_training_are_those_of_the_step(case: str) -> None:
    """Losses, parameters, gradients, velocities, running statistics and counts, step by step."""
    make_model, make_optimizer, shape = CASES[case]
    train_both(*pair(make_model, make_optimizer), batches(7, *shape))


def repeated_by(fast: Training) -> set[Any]:
    """The recordings that the step uses."""
    return set(fast.step._recordings.values())


SCHEDULES: dict[str, Any] = {
    "momentum": sgd,
    "plain": plain_sgd,
    "adam": adam,
    "adamw": adamw,
    "groups": lambda parameters: optim.AdamW(
        [{"params": p, "lr": 0.01 * (i + 1)} for i, p in enumerate(parameters)]
    ),
}


def follow_schedule(plain: Training, fast: Training, data: list[Batch]) -> None:
    """The learning rate and other numbers change in each step; nothing begins anew."""
    schedulers = [optim.lr_scheduler.StepLR(t.optimizer, 1, gamma=0.7) for t in (plain, fast)]
    used: set[Any] = set()
    for number, batch in enumerate(data):
        train_both(plain, fast, [batch])
        used |= repeated_by(fast)
        for training, scheduler in zip((plain, fast), schedulers, strict=True):
            scheduler.step()
            for group in training.optimizer.param_groups:
                group["weight_decay"] = 1e-3 * number
                if "betas" in group:
                    group["betas"] = (0.9 - 0.01 * number, 0.99)
    assert len(used) == 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_numbers_of_the_optimizer_may_change_in_each_step(name: str) -> None:
    follow_schedule(*pair(mlp, SCHEDULES[name]), batches(8, 7, 20))


def test_steps_that_differ_between_parameters_begin_anew() -> None:
    """Parameters whose numbers of steps come to differ are no longer updated in one call."""
    plain, fast = pair(mlp, adam)
    data = batches(12, 7, 20)
    train_both(plain, fast, data[:6])
    for training in (plain, fast):
        training.optimizer.state[training.model[0].weight]["step"] = 1
    train_both(plain, fast, data[6:])


def test_an_option_out_of_range_is_refused_as_by_the_step() -> None:
    plain, fast = pair(mlp, adam)
    data = batches(12, 7, 20)
    train_both(plain, fast, data[:6])
    for training in (plain, fast):
        training.optimizer.param_groups[0]["lr"] = -1.0
        with pytest.raises(ValueError, match="lr must be finite and >= 0"):
            training.step(*data[0])
        training.optimizer.param_groups[0]["lr"] = 0.1
    assert_same(plain, fast)
    train_both(plain, fast, data[6:])


CHANGES: dict[str, Callable[[Training], Any]] = {
    "learning rate": lambda t: t.optimizer.param_groups[0].update(lr=0.01),
    "no momentum": lambda t: t.optimizer.param_groups[0].update(momentum=0.0, nesterov=False),
    "sign": lambda t: t.optimizer.param_groups[0].update(maximize=True),
    "frozen": lambda t: t.model[0].requires_grad_(False),
    "weights": lambda t: t.model.load_state_dict(lenet().state_dict(), assign=True),
    "state": lambda t: t.optimizer.state.clear(),
    "loaded state": lambda t: t.optimizer.load_state_dict(t.optimizer.state_dict()),
    "mode": lambda t: t.model.eval(),
    "attribute": lambda t: setattr(t.loss, "label_smoothing", 0.3),
    "layer": lambda t: t.model.__setitem__(1, nn.Tanh()),
    "layer more": lambda t: t.model.append(nn.Tanh()),
    "parameter": lambda t: setattr(
        t.model[3], "bias", nn.Parameter(neurona.tensor(np.full(8, 0.5, np.float32)))
    ),
    "precision": lambda t: neurona.set_conv_precision("exact"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_used_at_once(change: str) -> None:
    plain, fast = pair(lenet, sgd)
    data = batches(12, 5, 3, 8, 8)
    try:
        train_both(plain, fast, data[:6])
        for training in (plain, fast):
            neurona.manual_seed(9)
            CHANGES[change](training)
        train_both(plain, fast, data[6:])
    finally:
        neurona.set_conv_precision("fast")


def test_steps_by_hand_and_other_batch_sizes_share_the_state() -> None:
    plain, fast = pair(lenet, sgd)
    for number in range(15):
        data = batches(1, 2 if number % 3 == 2 else 5, 3, 8, 8, seed=number)
        if number % 5 == 4:
            assert fast._step(*data[0]).item() == plain._step(*data[0]).item()
            assert_same(plain, fast)
        else:
            train_both(plain, fast, data)


def test_two_recordings_of_one_model() -> None:
    plain, fast = pair(lenet, sgd)
    other = neurona.record(fast.model, fast.loss, fast.optimizer)
    predict = neurona.record(fast.model)
    for number, (x, y) in enumerate(batches(12, 5, 3, 8, 8)):
        step = other if number % 2 else fast.step
        assert step(x, y).item() == plain.step(x, y).item()
        assert_same(plain, fast)
        with neurona.no_grad():
            np.testing.assert_array_equal(predict(x).numpy(), plain.model(x).numpy())


def test_predictions_are_new_tensors_without_gradients() -> None:
    model = Residual().eval()
    predict = neurona.record(model)
    data = [x for x, _ in batches(6, 4, 3, 6, 6)]
    outputs = [predict(x) for x in data]
    for x, output in zip(data, outputs, strict=True):
        np.testing.assert_array_equal(output.numpy(), model(x).detach().numpy())
        assert not output.requires_grad
    last = neurona.record(nn.Linear(10, 10))
    for _ in range(6):  # what it returns may be its next input
        last(last(outputs[0]))


def test_changes_are_seen_by_predictions() -> None:
    model, twin = Residual().eval(), Residual().eval()
    predict, data = neurona.record(model), [x for x, _ in batches(5, 4, 3, 6, 6)]
    for change in (
        lambda m: m.load_state_dict(Residual().state_dict(), assign=True),
        lambda m: m.train(),
        lambda m: m.eval(),
        lambda m: setattr(m, "body", nn.Identity()),
    ):
        predict(data[0]), change(model), change(twin)
        twin.load_state_dict(model.state_dict())
        for x in data:
            with neurona.no_grad():
                np.testing.assert_array_equal(predict(x).numpy(), twin(x).numpy())
    model.body.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="module 'body' has, or had, forward hooks"):
        predict(data[0]), predict(data[0])


def test_an_empty_batch() -> None:
    predict = neurona.record(mlp())
    assert [predict(neurona.zeros(0, 20)).shape for _ in range(5)] == [(0, 10)] * 5


def test_other_backends_and_float64_run_the_step_as_it_is() -> None:
    ((x, _),) = batches(1, 4, 20)
    with neurona.use_backend("reference"):
        model = mlp()
        predict = neurona.record(model)
        for _ in range(5):
            np.testing.assert_array_equal(predict(x).numpy(), model(x).detach().numpy())


@pytest.mark.parametrize("case", ["mlp", "residual", "dropout"])
def test_an_error_in_a_step_begins_the_recording_anew(case: str) -> None:
    """And leaves what the step leaves: batch norms have counted and taken the statistics."""
    make_model, make_optimizer, shape = CASES[case]
    for position in range(6):
        plain, fast = pair(make_model, make_optimizer)
        data = batches(9, *shape)
        train_both(plain, fast, data[:position])
        states = []
        for training in (plain, fast):
            neurona.manual_seed(3)
            with pytest.raises(ValueError, match="target"):
                training.step(data[0][0], neurona.tensor(np.full(shape[0], 99)))
            states.append(neurona.get_rng_state())
        assert states[0] == states[1]
        assert_same(plain, fast)
        train_both(plain, fast, data[position:])


def test_dropout_draws_anew_and_after_others() -> None:
    """Draws of others in between, another seed, and one beyond 2^53."""
    plain, fast = pair(dropping, plain_sgd)
    data = batches(9, 5, 3, 8, 8)
    train_both(plain, fast, data[:5])
    _ = neurona.rand(3)
    train_both(plain, fast, data[5:6])
    for state in ((2**64 - 1, 2**53 + 1), (7, 2**64 - 1)):
        neurona.set_rng_state(state)
        train_both(plain, fast, data[6:8])
    neurona.manual_seed(0)
    predict = neurona.record(nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 10)))
    assert len({predict(neurona.ones(4, 20)).numpy().tobytes() for _ in range(8)}) == 8


def test_threads_share_a_recording() -> None:
    model = mlp()
    predict = neurona.record(model)
    data = [x for x, _ in batches(20, 4, 20)]
    expected = [model(x).detach().numpy() for x in data]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            for i, x in enumerate(data):
                if not np.array_equal(predict(x).numpy(), expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
