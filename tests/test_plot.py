"""Pictures: what is drawn, not only that something is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import models, nn, plot


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_learning_curves_show_training_and_validation() -> None:
    history = neurona.History()
    for epoch, (loss, val) in enumerate([(2.0, 2.1), (1.0, 1.5), (0.5, 1.6)]):
        history.append(epoch, {"loss": loss, "val_loss": val, "accuracy": 1 - loss / 4})
    history.history["lr"] = [0.1, 0.01]  # appeared with the second epoch
    figure = plot.learning_curves(history)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "lr"]
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)
    loss, val = figure.axes[0].lines
    assert (loss.get_label(), val.get_label()) == ("loss", "val_loss")
    assert loss.get_ydata().tolist() == [2.0, 1.0, 0.5] and loss.get_xdata().tolist() == [1, 2, 3]
    assert val.get_ydata().tolist() == [2.1, 1.5, 1.6]
    assert figure.axes[2].lines[0].get_xdata().tolist() == [2, 3]
    with pytest.raises(ValueError, match="at least one epoch, got none"):
        plot.learning_curves({"loss": []})


def test_confusion_matrix_writes_the_counts() -> None:
    counts = np.array([[5, 1, 0], [0, 0, 0], [2, 0, 2]])
    figure = plot.confusion_matrix(counts, ["cat", "dog", "parrot"])
    axes = figure.axes[0]
    assert [int(text) for text in texts(axes)] == counts.ravel().tolist()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("estimated class", "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "parrot"]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[5 / 6, 1 / 6, 0], [0, 0, 0], [0.5, 0, 0.5]])
    with pytest.raises(ValueError, match=r"must have shape \(C, C\), got \(2, 3\)"):
        plot.confusion_matrix(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="names must hold 3 names, got 1"):
        plot.confusion_matrix(counts, ["cat"])


def test_misclassified_shows_every_mistake_surest_first() -> None:
    images = np.arange(5 * 4).reshape(5, 2, 2)
    scores = np.array([[3, 1], [0.6, 0.4], [0, 1], [0.9, 0.1], [0.2, 0.8]])
    figure = plot.misclassified(images, np.array([0, 1, 1, 1, 0]), scores, ["A", "B"])
    assert figure.get_suptitle() == "3 of 5 wrong (60.00 %), true → estimated"
    assert [axes.get_title() for axes in figure.axes] == ["B → A", "A → B", "B → A"]
    drawn = [axes.images[0].get_array() for axes in figure.axes]
    for array, index in zip(drawn, [3, 4, 1], strict=True):
        np.testing.assert_array_equal(array, images[index])
    limited = plot.misclassified(images, np.array([0, 1, 1, 1, 0]), scores, limit=1)
    assert len(limited.axes) == 1 and limited.get_suptitle().startswith("3 of 5")
    perfect = plot.misclassified(images, scores.argmax(1), scores)
    assert perfect.get_suptitle() == "0 of 5 wrong (0.00 %)" and not perfect.axes
    with pytest.raises(ValueError, match="images must have shape"):
        plot.misclassified(np.zeros((5, 2)), np.zeros(5, int), scores)
    with pytest.raises(ValueError, match="target and output must have shapes"):
        plot.misclassified(images, np.zeros(4, int), scores)
    with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
        plot.misclassified(images, np.zeros(5, int), scores, limit=0)


def test_decision_boundary_of_the_line() -> None:
    """z = 2 x1 - x2 + 1 splits the plane where z = 0; both samples and regions are drawn."""
    points = np.array([[0, 0], [0, 2], [-1, 0], [1, 1]])
    figure = plot.decision_boundary(
        lambda x: 2 * x[:, 0] - x[:, 1] + 1, points, np.array([1, 0, 0, 1]), ["no", "yes"]
    )
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x₁", "x₂")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["no", "yes"]
    regions, *scatters = axes.collections
    assert [len(scatter.get_offsets()) for scatter in scatters] == [2, 2]
    below, above = regions.get_paths()
    for x1, x2 in [(-0.9, 1.9), (-0.8, 0.0), (0.3, 1.9), (0.9, 0.1), (-0.1, 0.5)]:
        inside = (above, below) if 2 * x1 - x2 + 1 > 0 else (below, above)
        assert inside[0].contains_point((x1, x2)) and not inside[1].contains_point((x1, x2))


def test_decision_boundary_leaves_the_model_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)).train()
    figure = plot.decision_boundary(net, np.zeros((3, 2)), np.array([0, 1, 2]), resolution=5)
    assert net.training and net[1].training and net[0].weight.grad is None
    assert len(figure.axes[0].collections) == 4
    with pytest.raises(ValueError, match=r"shapes \(N, 2\) and \(N,\), got \(3, 3\)"):
        plot.decision_boundary(net, np.zeros((3, 3)), np.array([0, 1, 2]))


def test_filters_and_feature_maps() -> None:
    model = models.digits_cnn()
    figure = plot.filters(model.conv1)
    assert len(figure.axes) == 16 and "16 of 16 filters (1, 3, 3)" in figure.get_suptitle()
    peak = np.abs(model.conv1.weight.data).max()
    for axes, kernel in zip(figure.axes, model.conv1.weight.data, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), kernel[0])
        assert axes.images[0].get_clim() == pytest.approx((-peak, peak))
    means = plot.filters(model.conv2.weight, limit=3)
    assert len(means.axes) == 3
    np.testing.assert_allclose(
        means.axes[2].images[0].get_array(), model.conv2.weight.data[2].mean(0), rtol=1e-6
    )
    image = np.random.default_rng(0).random((1, 8, 8), np.float32)
    maps = plot.feature_maps(model, image, "conv1", limit=5)
    expected = model.conv1(neurona.Tensor(image[None])).data[0]
    assert maps.get_suptitle() == "conv1: 5 of 16 maps (8, 8)"
    for axes, channel in zip(maps.axes, expected, strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), channel)
    with pytest.raises(ValueError, match=r"layer must give \(1, K, P, Q\), got \(1, 10\)"):
        plot.feature_maps(model, image, "fc")
    with pytest.raises(ValueError, match="has no 'conv9'"):
        plot.feature_maps(model, image, "conv9")
    with pytest.raises(ValueError, match="weight must have shape"):
        plot.filters(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="x must have shape"):
        plot.feature_maps(model, np.zeros((2, 1, 8, 8)), "conv1")


def test_colour_filters_keep_their_colours() -> None:
    kernels = np.random.default_rng(1).standard_normal((2, 3, 5, 5))
    drawn = plot.filters(kernels).axes[1].images[0].get_array()
    assert drawn.shape == (5, 5, 3) and drawn.min() == 0 and drawn.max() == 1


def test_loss_values_of_the_course() -> None:
    """Cross-entropy and focal at p = .1, .5, .9, .99; squared, absolute, Huber at .5, 1, 2; hinge
    at -2, -.5, 0, .5, 1, 2.
    """
    p = plot.loss_values("probability", 100)
    at = [9, 49, 89, 98]
    np.testing.assert_allclose(p["x"][at], [0.1, 0.5, 0.9, 0.99])
    rows = {
        "cross-entropy": [2.302585, 0.693147, 0.105361, 0.010050],
        "focal, γ = 1": [2.072327, 0.346574, 0.010536, 0.0001005],
        "focal, γ = 2": [1.865094, 0.173287, 0.00105361, 1.005e-6],
    }
    for name, expected in rows.items():
        np.testing.assert_allclose(p[name][at], expected, atol=6e-7)
    assert p["focal, γ = 5"][at[0]] == pytest.approx(1.359653, abs=6e-7)
    e = plot.loss_values("error", 13)
    places = [list(e["x"]).index(x) for x in (0.5, 1.0, 2.0)]
    assert e["absolute"][places].tolist() == [0.5, 1, 2]
    assert e["squared"][places].tolist() == [0.25, 1, 4]
    assert e["Huber, δ = 1"][places].tolist() == [0.125, 0.5, 1.5]
    m = plot.loss_values("margin", 13)
    places = [list(m["x"]).index(x) for x in (-2.0, -0.5, 0.0, 0.5, 1.0, 2.0)]
    assert m["hinge"][places].tolist() == [3, 1.5, 1, 0.5, 0, 0]
    assert m["logistic"][places[2]] == pytest.approx(np.log(2))
    assert m["0/1"][places].tolist() == [1, 1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="kind must be 'probability', 'error' or 'margin', got"):
        plot.loss_values("hinge")


def test_loss_curves_draw_the_values() -> None:
    figure = plot.loss_curves(["error", "margin"])
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "error e = prediction − target",
        "margin y f(x)",
    ]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    values = plot.loss_values("error")
    assert set(lines) == set(values) - {"x"}
    for name, line in lines.items():
        np.testing.assert_array_equal(line.get_ydata(), values[name])
    assert len(plot.loss_curves().axes) == 3


def test_activation_curves() -> None:
    values, slopes = plot.activation_curves(["sigmoid", "relu"]).axes
    assert (values.get_ylabel(), slopes.get_ylabel()) == ("g(z)", "g′(z)")
    assert [line.get_label() for line in values.lines] == ["sigmoid", "relu"]
    assert values.lines[0].get_ydata()[200] == 0.5
    assert slopes.lines[0].get_ydata().max() == 0.25
    assert set(slopes.lines[1].get_ydata()) == {0.0, 1.0}


def test_histograms_count_every_element() -> None:
    net = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2))
    figure = plot.histograms(net, bins=11)
    titles = [axes.get_title().splitlines()[0] for axes in figure.axes]
    assert titles == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for axes, parameter in zip(figure.axes, net.parameters(), strict=True):
        assert len(axes.patches) == 11 and axes.get_ylabel() == "count"
        assert sum(bar.get_height() for bar in axes.patches) == parameter.numel()
    activations = plot.histograms({"h1": neurona.zeros(3, 4) + 2})
    assert activations.axes[0].get_title() == "h1\nmean 2, std 0"
    with pytest.raises(ValueError, match="at least one element, got none"):
        plot.histograms({})


def test_convolution_shows_one_step() -> None:
    """Numbers of input, kernel and output; the window and its sum, kernel not turned round."""
    x = np.arange(16).reshape(4, 4)
    kernel = np.array([[1, 0], [0, -2]])
    figure = plot.convolution(x, kernel, (1, 0), stride=2)
    shown, weights, output = figure.axes
    assert texts(shown) == [str(value) for value in range(16)]
    assert texts(weights) == ["1", "0", "0", "-2"]
    # 0 - 2*5, 2 - 2*7, 8 - 2*13, 10 - 2*15
    assert texts(output) == ["-10", "-12", "-18", "-20"]
    window, pixel = shown.patches[0], output.patches[0]
    assert (window.get_xy(), window.get_width(), window.get_height()) == ((-0.5, 1.5), 2, 2)
    assert (pixel.get_xy(), pixel.get_width()) == ((-0.5, 0.5), 1)
    assert figure.get_suptitle() == "1·8 + (-2)·13 = -18"
    padded = plot.convolution(x, np.ones((3, 3)), padding=1)
    assert len(texts(padded.axes[0])) == 36 and len(texts(padded.axes[2])) == 16
    for arguments, message in (
        (((4,), (2, 2), (0, 0)), "must have shapes"),
        (((2, 2), (3, 3), (0, 0)), "kernel must fit the padded input"),
        (((3, 3), (2, 2), (2, 0)), r"at must lie in the output \(2, 2\), got \(2, 0\)"),
    ):
        first, second, at = arguments
        with pytest.raises(ValueError, match=message):
            plot.convolution(np.zeros(first), np.zeros(second), at)
    with pytest.raises(ValueError, match="stride must be >= 1"):
        plot.convolution(x, kernel, stride=0)


def test_compare_runs_draws_a_line_for_each_run_that_has_the_quantity() -> None:
    history = neurona.History()
    for epoch, loss in enumerate([2.0, 1.0]):
        history.append(epoch, {"loss": loss, "val_loss": loss + 1})
    runs = {"plain": history, "other": {"loss": [3.0, 2.5, 2.0]}}
    figure = plot.compare_runs(runs, ["loss", "val_loss"], log=True)
    loss, val = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[2, 1], [3, 2.5, 2]]
    assert [line.get_xdata().tolist() for line in loss.lines] == [[1, 2], [1, 2, 3]]
    assert [line.get_ydata().tolist() for line in val.lines] == [[2 + 1, 1 + 1]]
    assert loss.lines[0].get_color() == val.lines[0].get_color() != loss.lines[1].get_color()
    assert (val.get_ylabel(), val.get_yscale()) == ("val_loss", "log")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain", "other"]
    alone = plot.compare_runs({"rms": [1.0, 0.5]}, ["rms"], x=[0, 10], xlabel="layer")
    assert list(alone.axes[0].lines[0].get_xdata()) == [0, 10] and not alone.legends
    with pytest.raises(ValueError, match="must be one for a list, got 2"):
        plot.compare_runs({"a": [1.0]}, ["loss", "lr"])
    with pytest.raises(ValueError, match=r"must hold one of \['lr'\], got none"):
        plot.compare_runs(runs, ["lr"])
    with pytest.raises(ValueError, match="quantities must not be empty"):
        plot.compare_runs(runs, [])


def test_loss_surface_shows_heights_and_paths() -> None:
    """The level lines of a circular bowl are circles; a path keeps its points, start and end."""
    points = np.array([[1.0, 1.0], [0.5, 0.2], [0.0, 0.0]])
    figure = plot.loss_surface(
        lambda x, y: x * x + y * y, (-2, 2), (-1, 1), {"way": points}, levels=4, resolution=81
    )
    axes = figure.axes[0]
    filled, lines = axes.collections
    np.testing.assert_allclose(filled.levels, 5 * np.array([0, 1, 4, 9, 16]) / 16)
    for level, circle in zip(lines.levels[1:3], lines.get_paths()[1:3], strict=True):
        np.testing.assert_allclose(np.hypot(*circle.vertices.T), np.sqrt(level), atol=1e-3)
    way, start, end = axes.lines
    np.testing.assert_array_equal(way.get_xydata(), points)
    assert start.get_xydata().tolist() == [[1, 1]] and end.get_xydata().tolist() == [[0, 0]]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-2, 2), (-1, 1))
    flat = plot.loss_surface(lambda x, y: 0 * x, (0, 1), (0, 1))
    assert len(flat.axes) == 1 and not flat.axes[0].collections
    with pytest.raises(ValueError, match=r"x_range must be \(low, high\), got \(1, 1\)"):
        plot.loss_surface(lambda x, y: x, (1, 1), (0, 1))
    with pytest.raises(ValueError, match=r"loss must give \(200, 200\), got \(\)"):
        plot.loss_surface(lambda x, y: x.sum(), (0, 1), (0, 1))
    with pytest.raises(ValueError, match=r"paths\['p'\] must have shape \(T, 2\), got \(3,\)"):
        plot.loss_surface(lambda x, y: x, (0, 1), (0, 1), {"p": np.zeros(3)})


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_files(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"curves.{suffix}"
    plot.learning_curves({"loss": [1.0, 0.5]}, path=path)
    assert path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="path must end in one of .*got"):
        plot.learning_curves({"loss": [1.0]}, path=tmp_path / "curves.xyz")


def test_matplotlib_is_loaded_when_a_figure_is_made_and_its_lack_explained() -> None:
    """pyplot, with its global state and windows, is never loaded."""
    code = (
        "import sys, neurona; from neurona import plot\n"
        "assert not any(name.startswith('matplotlib') for name in sys.modules)\n"
        "plot.loss_values('error')\n"
        "plot.loss_curves()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "sys.modules['matplotlib.figure'] = None\n"
        "try:\n    plot.loss_curves()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (
        "neurona.plot needs matplotlib: pip install matplotlib, or neurona[plot]" in result.stdout
    )
