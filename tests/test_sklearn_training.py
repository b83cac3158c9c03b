"""neurona.sklearn: what is trained, on which samples, and with which random numbers."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

import neurona
from conftest import Backend
from neurona import nn, optim
from neurona.sklearn import NeuronaClassifier, NeuronaRegressor

X, Y = load_iris(return_X_y=True)
DIGITS, NAMES = load_digits(return_X_y=True)
IMAGES = (DIGITS / 16).reshape(-1, 1, 8, 8)


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


def net(width: int = 8, p: float = 0.2, outputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(p), nn.Linear(width, outputs))


def weights(estimator: Any) -> list[np.ndarray]:
    return [parameter.data for parameter in estimator.module_.parameters()]


def same(a: Any, b: Any) -> bool:
    return all((x == y).all() for x, y in zip(weights(a), weights(b), strict=True))


def test_images_and_a_convolution() -> None:
    classifier = NeuronaClassifier(conv_net, lr=0.01, max_epochs=5, batch_size=32, random_state=0)
    labels = np.array([f"digit {name}" for name in NAMES])
    classifier.fit(IMAGES[:1000], labels[:1000])
    assert classifier.score(IMAGES[1000:], labels[1000:]) > 0.85
    assert classifier.classes_[0] == "digit 0"
    assert len(classifier.loss_curve_) == classifier.n_iter_ == 5


@pytest.mark.parametrize("images", [False, True])
def test_probabilities_do_not_depend_on_the_batch(compiled: Backend, images: bool) -> None:
    x = IMAGES if images else DIGITS
    module = conv_net if images else None
    classifier = NeuronaClassifier(module, max_epochs=1, random_state=0).fit(x, NAMES)
    whole = classifier.predict_proba(x)
    assert whole.dtype == np.float64 and np.abs(whole.sum(1) - 1).max() < 1e-12
    np.testing.assert_allclose(classifier.predict_log_proba(x), np.log(whole), atol=1e-9)
    for size in (1, 2, 7, 64, 199):
        parts = [classifier.predict_proba(x[i : i + size]) for i in range(0, 4 * size, size)]
        assert np.abs(np.concatenate(parts) - whole[: 4 * size]).max() <= 1e-7


def test_one_sgd_step_by_hand() -> None:
    """alpha as in MLPClassifier: its part of the gradient is alpha w / N, and biases have none."""
    common: dict[str, Any] = {"optimizer": "sgd", "lr": 0.5, "max_epochs": 1, "random_state": 0}
    plain = weights(NeuronaRegressor(hidden_layer_sizes=3, alpha=0.0, **common).fit(X, Y))
    decayed = weights(NeuronaRegressor(hidden_layer_sizes=3, alpha=60.0, **common).fit(X, Y))
    first = weights(NeuronaRegressor(hidden_layer_sizes=3, **{**common, "lr": 1e-30}).fit(X, Y))
    for start, without, with_decay in zip(first, plain, decayed, strict=True):
        step = 0.5 * 60.0 / len(X) * start if start.ndim == 2 else 0.0
        np.testing.assert_allclose(with_decay, without - step, atol=1e-6)


def test_the_loss_curve_falls_until_it_converges() -> None:
    classifier = NeuronaClassifier(learning_rate_init=0.02, tol=1e-3, random_state=0).fit(X, Y)
    curve = np.array(classifier.loss_curve_)
    assert 10 < classifier.n_iter_ == len(curve) < 200
    assert curve[-11:].max() - curve[-1] < 10 * 1e-3
    with pytest.warns(ConvergenceWarning, match="max_iter=3 epochs were not enough"):
        NeuronaClassifier(max_iter=3, random_state=0).fit(X, Y)
    endless = NeuronaClassifier(max_iter=15, tol=1e9, n_iter_no_change=None, random_state=0)
    assert endless.fit(X, Y).n_iter_ == 15


@pytest.mark.parametrize("epochs", [{"max_epochs": 300}, {"max_iter": 300}])
def test_early_stopping_takes_the_best_weights_back(epochs: dict[str, int]) -> None:
    classifier = NeuronaClassifier(
        lr=0.05, early_stopping=True, validation_fraction=0.3, random_state=1, tol=0.0, **epochs
    ).fit(X, Y)
    curve = classifier.validation_loss_curve_
    best = int(np.argmin(curve)) + 1
    assert len(curve) == classifier.n_iter_ == best + 10 < 300
    shorter = clone_with(classifier, max_epochs=best).fit(X, Y)
    assert same(classifier, shorter)
    assert clone_with(classifier, early_stopping=False).fit(X, Y).validation_loss_curve_ == []


def clone_with(estimator: Any, **params: Any) -> Any:
    return type(estimator)(**{**estimator.get_params(), **params})


def test_a_weight_of_zero_leaves_the_sample_out() -> None:
    kept = np.arange(len(X)) % 3 > 0
    classifier = NeuronaClassifier(net, batch_size=16, max_epochs=3, random_state=0)
    weighted = clone_with(classifier).fit(X, Y, sample_weight=kept * 1.0)
    left_out = clone_with(classifier).fit(X[kept], Y[kept], sample_weight=np.ones(kept.sum()))
    assert same(weighted, left_out)


@pytest.mark.parametrize("kind", [NeuronaClassifier, NeuronaRegressor])
def test_a_weight_counts_like_repetitions(kind: Any) -> None:
    rng = np.random.default_rng(0)
    x, y, weight = rng.random((30, 8)), rng.integers(0, 3, 30), rng.integers(0, 5, 30)
    estimator = kind(batch_size=1000, max_epochs=100, lr=0.01, alpha=0.1, random_state=0)
    weighted = clone_with(estimator).fit(x, y, sample_weight=weight)
    repeated = clone_with(estimator).fit(x.repeat(weight, 0), y.repeat(weight))
    answers = [
        e.predict_proba(x) if kind is NeuronaClassifier else e.predict(x)
        for e in (weighted, repeated, clone_with(estimator).fit(x, y))
    ]
    assert np.abs(answers[0] - answers[1]).max() < 1e-4 < np.abs(answers[0] - answers[2]).max()


@pytest.mark.parametrize("weight", [np.ones(3), np.zeros(150), -np.ones(150), np.full(150, np.inf)])
def test_bad_weights(weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match="NeuronaRegressor: sample_weight must"):
        NeuronaRegressor(max_epochs=1).fit(X, Y, sample_weight=weight)


def test_random_state_gives_the_bits_and_leaves_the_users_stream_alone() -> None:
    def fit(seed: Any) -> NeuronaClassifier:
        return NeuronaClassifier(net, max_epochs=3, batch_size=16, random_state=seed).fit(X, Y)

    before = neurona.get_rng_state()
    first = fit(5)
    assert neurona.get_rng_state() == before
    neurona.manual_seed(123)
    assert same(first, fit(5))
    assert not same(first, fit(6))
    assert same(fit(np.random.RandomState(7)), fit(np.random.RandomState(7)))
    with ThreadPoolExecutor(3) as pool:
        assert all(same(first, other) for other in pool.map(fit, [5] * 6))


@pytest.mark.parametrize("kind", [NeuronaClassifier, NeuronaRegressor])
def test_partial_fit_goes_on_where_fit_stopped(kind: Any) -> None:
    outputs = 3 if kind is NeuronaClassifier else 1
    common: dict[str, Any] = {"module__outputs": outputs, "batch_size": 16, "random_state": 0}
    whole = kind(net, max_epochs=5, **common).fit(X, Y)
    steps = kind(net, **common)
    first = {"classes": [0, 1, 2]} if kind is NeuronaClassifier else {}
    steps.partial_fit(X, Y, **first)
    for epoch in range(4):
        if epoch == 2:
            steps = pickle.loads(pickle.dumps(steps))
        steps.partial_fit(X, Y)
    assert same(whole, steps)
    assert steps.loss_curve_ == whole.loss_curve_ and steps.n_iter_ == 5


def test_partial_fit_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        NeuronaClassifier().partial_fit(X, Y)
    classifier = NeuronaClassifier().partial_fit(X, Y, classes=[0, 1, 2, 5])
    assert classifier.predict_proba(X).shape == (150, 4)
    with pytest.raises(ValueError, match="must be those of the first call"):
        classifier.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"y must be among the classes .* got \[4\]"):
        classifier.partial_fit(X[:2], [4, 0])
    with pytest.raises(ValueError, match="early_stopping must be False for partial_fit, got True"):
        classifier.set_params(early_stopping=True).partial_fit(X, Y)
    regressor = NeuronaRegressor().partial_fit(X, X[:, :2])
    with pytest.raises(ValueError, match=r"y must have shape \(N, 2\), got \(150,\)"):
        regressor.partial_fit(X, Y)


@pytest.mark.parametrize("shape", [(150,), (150, 1), (150, 2)])
def test_predictions_have_the_shape_of_the_targets(shape: tuple[int, ...]) -> None:
    y = np.resize(X[:, 0], shape)
    assert NeuronaRegressor(max_epochs=1, random_state=0).fit(X, y).predict(X).shape == shape


def test_classes_of_losses_and_optimizers_take_their_arguments() -> None:
    common: dict[str, Any] = {"max_epochs": 2, "random_state": 0}
    smooth = {"criterion__label_smoothing": 0.3}
    momentum = {"optimizer__momentum": 0.9, "lr": 0.05}
    by_name = NeuronaClassifier(
        criterion="cross_entropy", optimizer="sgd", **smooth, **momentum, **common
    ).fit(X, Y)
    by_class = NeuronaClassifier(
        criterion=nn.CrossEntropyLoss, optimizer=optim.SGD, **smooth, **momentum, **common
    ).fit(X, Y)
    assert same(by_name, by_class)
    assert by_class.optimizer_.param_groups[0]["momentum"] == 0.9
    plain = NeuronaClassifier(optimizer="sgd", **momentum, **common).fit(X, Y)
    assert not same(plain, by_name)


@pytest.mark.parametrize("activation", ["identity", "logistic", "relu", "tanh"])
def test_activations(activation: str) -> None:
    regressor = NeuronaRegressor(activation=activation, hidden_layer_sizes=(5, 4), max_epochs=1)
    kinds = [type(module).__name__ for module in regressor.fit(X, Y).module_.modules()]
    names = {"identity": "Identity", "logistic": "Sigmoid", "relu": "ReLU", "tanh": "Tanh"}
    assert kinds.count(names[activation]) == 2
