"""Metrics: values by hand, batches add up to the whole, bad arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurona import metrics

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], np.float32)
TARGET = np.array([1, 1, 2, 0])


def test_values_by_hand() -> None:
    assert metrics.accuracy(SCORES, TARGET) == 0.75  # the tie in the last row goes to class 0
    assert metrics.TopKAccuracy(1)(SCORES, TARGET) == 0.75
    assert metrics.TopKAccuracy(2)(SCORES, TARGET) == 1.0
    assert metrics.confusion_matrix(SCORES, TARGET).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert metrics.Precision(3)(SCORES, TARGET) == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert metrics.Recall(3)(SCORES, TARGET) == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert metrics.F1(3)(SCORES, TARGET) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics.MeanSquaredError()(np.array([1.0, 3.0]), np.array([2.0, 1.0])) == 2.5
    assert metrics.MeanAbsoluteError()(np.array([1.0, 3.0]), np.array([2.0, 1.0])) == 1.5


@pytest.mark.parametrize(
    "metric",
    [
        metrics.Accuracy(),
        metrics.TopKAccuracy(2),
        metrics.ConfusionMatrix(5),
        metrics.Precision(5),
        metrics.Recall(5),
        metrics.F1(5),
    ],
    ids=lambda metric: metric.name,
)
def test_batches_add_up_and_state_returns(metric: metrics.Metric) -> None:
    rng = np.random.default_rng(3)
    scores, target = rng.normal(size=(50, 5)), rng.integers(0, 5, 50)
    whole = metric(scores, target)
    metric.reset()
    metric.update(scores[:7], target[:7])
    state = metric.state_dict()
    metric.reset()
    metric.load_state_dict(state)
    metric.update(scores[7:], target[7:].astype(np.uint8))
    assert metric.compute() == whole


def test_class_probabilities_as_targets() -> None:
    assert metrics.accuracy(SCORES, np.eye(3)[TARGET]) == 0.75


def test_nothing_yet_is_nan_and_nan_scores_are_no_hits() -> None:
    assert math.isnan(metrics.Accuracy().compute())
    assert metrics.TopKAccuracy(1)(np.full((2, 3), np.nan), np.array([0, 1])) == 0.0


def test_a_class_never_predicted_counts_as_zero() -> None:
    assert metrics.Precision(2)(np.array([[1.0, 0.0]]), np.array([0])) == 0.5


@pytest.mark.parametrize(
    ("output", "target", "kind", "message"),
    [
        (SCORES[0], TARGET, ValueError, r"accuracy: output must have shape \(N, C\), got \(3,\)"),
        (SCORES, TARGET[:3], ValueError, r"target must have shape \(4,\), got \(3,\)"),
        (SCORES, TARGET.astype(float), TypeError, "integer dtype, got float64"),
        (SCORES, TARGET + 2, ValueError, "target must be in 0..2, got 4"),
        (SCORES, TARGET - 2, ValueError, "target must be in 0..2, got -2"),
    ],
)
def test_bad_arguments(output: object, target: object, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        metrics.accuracy(output, target)


def test_names() -> None:
    assert isinstance(metrics.get("accuracy"), metrics.Accuracy)
    assert metrics.get("top_5_accuracy").name == "top_5_accuracy"
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="got int"):
        metrics.get(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        metrics.TopKAccuracy(0)
