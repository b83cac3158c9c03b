"""`neurona.record`: a repeated step has the bits of the step itself, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
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
        nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 10)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1)],
        *[nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)],
    )


class Residual(nn.Module):
    """Batch norm, an addition and global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        return self.head(F.relu(self.body(x) + x))


def sgd(parameters: Any) -> optim.Optimizer:
    return optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def adam(parameters: Any) -> optim.Optimizer:
    return optim.AdamW(parameters, lr=0.01)


class Training:
    """A model with its optimizer, and its step as it is or recorded."""

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        make_optimizer: Callable[[Any], optim.Optimizer],
        recorded: bool,
    ) -> None:
        neurona.manual_seed(5)
        self.model = make_model()
        self.optimizer = make_optimizer(self.model.parameters())
        self.step: Any = self._step
        if recorded:
            self.step = neurona.record(self._step, self.model, self.optimizer)

    def _step(self, x: Any, y: Any) -> Any:
        loss = F.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that training changes."""
        found = {name: tensor.data for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            found[f"{name} gradient"] = parameter.grad.data
            for key, value in self.optimizer.state[parameter].items():
                found[f"{name} {key}"] = np.asarray(getattr(value, "data", value))
        return found


def assert_same(a: Training, b: Training) -> None:
    expected, got = a.arrays(), b.arrays()
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


CASES = {
    "mlp": (mlp, sgd, (7, 20)),
    "lenet": (lenet, sgd, (5, 3, 8, 8)),
    "residual": (Residual, sgd, (4, 3, 6, 6)),
    "adam": (lenet, adam, (5, 3, 8, 8)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_bits_of_training_are_those_of_the_step(case: str) -> None:
    """Losses, parameters, gradients, velocities, running statistics and counts, step by step."""
    make_model, make_optimizer, shape = CASES[case]
    plain, fast = (Training(make_model, make_optimizer, recorded) for recorded in (False, True))
    for x, y in batches(7, *shape):
        assert fast.step(x, y).item() == plain.step(x, y).item()
        assert_same(plain, fast)
    assert fast.optimizer._step_count == plain.optimizer._step_count == 7


def test_a_new_learning_rate_is_used_at_once() -> None:
    plain, fast = (Training(mlp, sgd, recorded) for recorded in (False, True))
    for number, (x, y) in enumerate(batches(12, 7, 20)):
        for training in (plain, fast):
            training.optimizer.param_groups[0]["lr"] = 0.1 if number < 6 else 0.01
            training.step(x, y)
        assert_same(plain, fast)


def test_batches_of_several_sizes_share_the_state() -> None:
    plain, fast = (Training(lenet, sgd, recorded) for recorded in (False, True))
    sizes = [(5, 3, 8, 8), (2, 3, 8, 8)]
    for number in range(12):
        ((x, y),) = batches(1, *sizes[number % 2], seed=number)
        assert fast.step(x, y).item() == plain.step(x, y).item()
        assert_same(plain, fast)


def test_loaded_weights_and_modes_are_noticed() -> None:
    neurona.manual_seed(0)
    model = Residual().eval()
    with neurona.no_grad():
        predict = neurona.record(lambda x: model(x), model)
        ((x, _),) = batches(1, 4, 3, 6, 6)
        first = [predict(x).numpy().copy() for _ in range(5)]
        np.testing.assert_array_equal(first[0], first[4])
        neurona.manual_seed(1)
        model.load_state_dict(Residual().state_dict(), assign=True)
        np.testing.assert_array_equal(predict(x).numpy(), model(x).numpy())
        assert not np.array_equal(predict(x).numpy(), first[0])
        model.load_state_dict(Residual().state_dict())
        for _ in range(5):
            np.testing.assert_array_equal(predict(x).numpy(), model(x).numpy())
        model.train()
        in_training = predict(x).numpy().copy()
        assert not np.array_equal(in_training, model.eval()(x).numpy())


def test_several_results_and_none() -> None:
    ((x, _),) = batches(1, 4, 20)
    model = mlp()
    with neurona.no_grad():
        both = neurona.record(lambda x: (model(x), F.relu(x)), model)
        for _ in range(5):
            logits, rectified = both(x)
            np.testing.assert_array_equal(logits.numpy(), model(x).numpy())
            np.testing.assert_array_equal(rectified.numpy(), np.maximum(x.numpy(), 0))
        nothing = neurona.record(lambda x: None, model)
        assert [nothing(x) for _ in range(5)] == [None] * 5


def test_other_backends_run_the_step_as_it_is() -> None:
    model = mlp()
    ((x, _),) = batches(1, 4, 20)
    with neurona.no_grad(), neurona.use_backend("reference"):
        predict = neurona.record(lambda x: model(x), model)
        outputs = [predict(x) for _ in range(5)]
    assert all(output is not outputs[0] for output in outputs[1:])


def calls(
    step: Callable[..., Any], count: int, *inputs: Any, watched: tuple[Any, ...] = ()
) -> None:
    recorded = neurona.record(step, *watched)
    for _ in range(count):
        recorded(*inputs)


def test_what_cannot_be_repeated_is_named() -> None:
    x = neurona.randn(4, 3)
    drop = nn.Dropout(0.5)
    with pytest.raises(RuntimeError, match="record: the step must not call dropout"):
        calls(lambda x: drop(x), 2, x)
    random = np.random.default_rng(0)
    with pytest.raises(RuntimeError, match="kernels alone do not give the step's results"):
        calls(lambda x: F.relu(x) * float(random.random()), 3, x)
    with pytest.raises(RuntimeError, match="kernels alone do not give the step's results"):
        calls(lambda x: F.relu(neurona.tensor(x.numpy() * 2)), 3, x)
    with pytest.raises(RuntimeError, match="result 0 must come from a kernel"):
        calls(lambda x: neurona.tensor(x.numpy() * 2), 2, x)
    training = Training(mlp, sgd, False)
    with pytest.raises(RuntimeError, match="optimizer whose step calls sgd_step must be among"):
        calls(training._step, 2, *batches(1, 4, 20)[0], watched=(training.model,))
    with pytest.raises(RuntimeError, match="linear_forward is not repeatable: an array had to be"):
        calls(lambda x: training.model(x.T), 2, neurona.randn(20, 4))


def test_a_failed_recording_leaves_the_step_usable() -> None:
    drop = nn.Dropout(0.5)
    recorded = neurona.record(lambda x: drop(x), drop)
    x = neurona.ones(4, 3)
    recorded(x)
    with pytest.raises(RuntimeError, match="dropout"):
        recorded(x)
    drop.eval()
    for _ in range(5):
        np.testing.assert_array_equal(recorded(x).numpy(), x.numpy())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: neurona.record(3), TypeError, "step must be callable, got int"),
        (
            lambda: neurona.record(len, 3),
            TypeError,
            "watched must be modules and optimizers, got int",
        ),
        (lambda: calls(F.relu, 1, 3), TypeError, "input 0 must be a Tensor, got int"),
        (
            lambda: calls(F.relu, 1, neurona.ones(2, requires_grad=True)),
            ValueError,
            "input 0 must not require a gradient",
        ),
        (lambda: calls(lambda x: 3, 2, neurona.ones(2)), TypeError, "must return None, a Tensor"),
    ],
)
def test_wrong_arguments(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"record: .*{message}"):
        build()
