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
        metrics.ErrorRate(),
        metrics.MeanIoU(5),
        metrics.BinaryAccuracy(0.1, cls=3),
        metrics.BinaryPrecision(0.1, cls=3),
        metrics.BinaryRecall(0.1, cls=3),
        metrics.BinaryF1(0.1, cls=3),
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
        (
            SCORES[0],
            TARGET,
            ValueError,
            r"accuracy: output must have shape \(N, C, ...\), got \(3,\)",
        ),
        (SCORES, TARGET[:3], ValueError, r"target must have shape \(4,\), got \(3,\)"),
        (SCORES, TARGET.astype(float), TypeError, "integer dtype, got float64"),
        (SCORES, TARGET + 2, ValueError, "target must be in 0..2, got 4"),
        (SCORES, TARGET - 2, ValueError, "target must be in 0..2, got -2"),
    ],
)
def test_bad_arguments(output: object, target: object, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        metrics.accuracy(output, target)


DOG = np.array([0.2, 0.7, 0.6, 0.8, 0.3])
TRUE = np.array([0, 1, 0, 1, 0])


def test_n10_dogs_and_cats() -> None:
    """M1, M2, M6: accuracy .8, Dog 2/3 and 1, Cat 1 and 2/3; higher thresholds trade recall."""
    both = np.stack([1 - DOG, DOG], axis=1)
    assert (both.argmax(axis=1) == [0, 1, 1, 1, 0]).all()
    assert metrics.accuracy(both, TRUE) == metrics.BinaryAccuracy()(DOG, TRUE) == 0.8
    assert metrics.confusion_matrix(both, TRUE).tolist() == [[2, 1], [0, 2]]
    for scores in (DOG, DOG[:, None], both):
        assert metrics.precision(scores, TRUE) == 2 / 3
        assert metrics.recall(scores, TRUE) == 1.0
        assert metrics.f1(scores, TRUE) == pytest.approx(0.8, abs=1e-15)
        assert metrics.precision(scores, TRUE, cls=0) == 1.0
        assert metrics.recall(scores, TRUE, cls=0) == 2 / 3
        for threshold, wanted in ((0.65, (1.0, 1.0)), (0.75, (1.0, 0.5))):
            found = (
                metrics.precision(scores, TRUE, threshold=threshold),
                metrics.recall(scores, TRUE, threshold=threshold),
            )
            assert found == wanted
    cross_entropy = -np.log(both[np.arange(5), TRUE]).mean()
    assert cross_entropy == pytest.approx(0.415185, abs=1e-6)  # truncated, not rounded


def test_m4_error_rate_and_the_list_of_mistakes() -> None:
    """N25: 33 of 10,000 are 0.33 %, 9,967 hits."""
    target = np.arange(10_000) % 10
    estimated = target.copy()
    wrong = np.arange(33) * 300
    estimated[wrong] = (target[wrong] + 1) % 10
    scores = np.eye(10)[estimated]
    assert metrics.error_rate(scores, target) == 0.0033
    assert metrics.accuracy(scores, target) == 0.9967
    mistakes = metrics.misclassified(scores, target)
    assert [mistake.position for mistake in mistakes] == wrong.tolist()
    assert all(m.true == target[m.position] and m.estimated == (m.true + 1) % 10 for m in mistakes)


def test_intersection_over_union_of_pixels() -> None:
    true = np.array([[[0, 0, 1], [0, 1, 1]]])
    predicted = np.array([[[0, 1, 1], [0, 1, 0]]])
    scores = np.moveaxis(np.eye(3)[predicted], -1, 1)  # (N, C, H, W)
    assert metrics.accuracy(scores, true) == pytest.approx(4 / 6)
    assert metrics.iou(scores, true)[:2].tolist() == [0.5, 0.5]
    assert math.isnan(metrics.iou(scores, true)[2])
    assert metrics.mean_iou(scores, true) == 0.5
    assert math.isnan(metrics.MeanIoU(3).compute())
    with pytest.raises(ValueError, match=r"target must have shape \(1, 2, 3\), got \(1, 6\)"):
        metrics.mean_iou(scores, true.reshape(1, 6))


def test_thresholds_are_strict_and_ratios_without_samples_are_zero() -> None:
    assert metrics.recall(np.array([0.5]), np.array([1])) == 0.0
    assert metrics.recall(np.array([0.5]), np.array([1]), threshold=0.499) == 1.0
    assert metrics.recall(np.array([0.5]), np.array([0])) == 0.0
    assert metrics.precision(np.array([0.5]), np.array([1])) == 0.0
    assert metrics.f1(np.array([0.5]), np.array([0])) == 0.0
    assert math.isnan(metrics.BinaryAccuracy().compute())
    assert metrics.top_k_accuracy(SCORES, TARGET, k=2) == 1.0


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"output": DOG[None, None]}, ValueError, r"output must have shape \(N,\) or \(N, C\)"),
        ({"target": TRUE[:2]}, ValueError, r"target must have shape \(5,\), got \(2,\)"),
        ({"target": TRUE * 2}, ValueError, "target must be in 0..1, got 2"),
        ({"target": TRUE + 0.5}, TypeError, "target must hold class indices, got float64"),
        ({"cls": 2}, ValueError, "cls must be in 0..1, got 2"),
        ({"cls": -1}, ValueError, "cls must be >= 0, got -1"),
        ({"cls": 1.0}, TypeError, "cls must be an int, got float"),
        ({"threshold": "half"}, TypeError, "threshold must be a number, got str"),
        ({"threshold": float("nan")}, ValueError, "threshold must be a number, got nan"),
    ],
)
def test_bad_arguments_at_a_threshold(
    arguments: dict[str, object], kind: type, message: str
) -> None:
    with pytest.raises(kind, match=message):
        metrics.precision(**{"output": DOG, "target": TRUE, **arguments})  # type: ignore[arg-type]


def test_names() -> None:
    assert isinstance(metrics.get("accuracy"), metrics.Accuracy)
    assert metrics.get("top_5_accuracy").name == "top_5_accuracy"
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="got int"):
        metrics.get(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        metrics.TopKAccuracy(0)
