"""Computational graphs: the exercises replayed, their numbers read back from the drawings."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import neurona
from neurona import Tensor, graph, nn
from neurona.autograd import Function

SVG = "{http://www.w3.org/2000/svg}"


def scalar(value: float, requires_grad: bool = True) -> Tensor:
    return neurona.tensor(value, requires_grad=requires_grad)


def dot_nodes(text: str) -> dict[str, list[str]]:
    """Lines inside each node of a DOT text."""
    found = re.findall(r'^    (n\d+) \[shape=\w+, label="(.*)"\];$', text, re.MULTILINE)
    return {key: label.split("\\n") for key, label in found}


def dot_edges(text: str) -> list[tuple[str, str, str]]:
    pattern = r'^    (n\d+) -> (n\d+)(?: \[label="(.*)"\])?;$'
    return re.findall(pattern, text, re.MULTILINE)


def test_g2b_perceptron_with_two_inputs() -> None:
    """w, x, products, sum, ReLU: each node with its value and its gradient."""
    w1, w2, b = scalar(0.5), scalar(-1.5), scalar(0.25)
    x1, x2 = scalar(2.0, False), scalar(-1.0, False)
    with graph.record() as tape:
        y = (w1 * x1 + w2 * x2 + b).relu()
    drawing = tape.graph(y, {"w1": w1, "x1": x1, "w2": w2, "x2": x2, "b": b, "y": y})
    text = drawing.to_dot()
    assert list(dot_nodes(text).values()) == [
        ["w1", "= 0.5", "∂ 2"],
        ["x1", "= 2"],
        ["×", "= 1", "∂ 1"],
        ["w2", "= -1.5", "∂ -1"],
        ["x2", "= -1"],
        ["×", "= 1.5", "∂ 1"],
        ["+", "= 2.5", "∂ 1"],
        ["b", "= 0.25", "∂ 1"],
        ["+", "= 2.75", "∂ 1"],
        ["y: ReLU", "= 2.75", "∂ 1"],
    ]
    assert dot_edges(text) == [
        ("n0", "n2", "∂ 2"),
        ("n1", "n2", ""),
        ("n3", "n5", "∂ -1"),
        ("n4", "n5", ""),
        ("n2", "n6", "∂ 1"),
        ("n5", "n6", "∂ 1"),
        ("n6", "n8", "∂ 1"),
        ("n7", "n8", "∂ 1"),
        ("n8", "n9", "∂ 1"),
    ]


def test_g2b_l1_graph_adds_negation_sum_and_abs() -> None:
    w, b, x, y = scalar(2.0), scalar(0.0), scalar(1.0, False), scalar(1.0, False)
    with graph.record() as tape:
        loss = (-(w * x + b).relu() + y).abs()
    labels = [node.label for node in tape.graph(loss, {"w": w, "b": b, "x": x, "y": y}).nodes]
    assert labels == ["w", "x", "×", "b", "+", "ReLU", "× -1", "y", "+", "|·|"]


def test_n12_replayed_on_the_graph() -> None:
    """w=2, b=0 at (1, 1), alpha .1: loss 1, .8, .6, .4, .2, 0, and both gradients 1 on the way."""
    w, b = (Tensor(np.array(v), requires_grad=True) for v in (2.0, 0.0))
    x, y = Tensor(np.array(1.0)), Tensor(np.array(1.0))
    losses = []
    with neurona.use_backend("reference"):
        for _ in range(6):
            with graph.record() as tape:
                predicted = (w * x + b).relu()
                loss = (predicted - y).abs()
            drawing = tape.graph(loss, {"w": w, "b": b, "y_hat": predicted, "L": loss})
            losses.append(drawing["L"].value.item())
            if len(losses) <= 5:
                assert (drawing["w"].grad.item(), drawing["b"].grad.item()) == (1, 1)
            if len(losses) == 1:
                assert (drawing["y_hat"].value.item(), losses[0]) == (2, 1)
            if len(losses) == 2:
                assert drawing["w"].value.item() == pytest.approx(1.9, abs=1e-15)
                assert drawing["b"].value.item() == pytest.approx(-0.1, abs=1e-15)
                assert drawing["y_hat"].value.item() == pytest.approx(1.8, abs=1e-15)
            assert w.grad is None
            if len(losses) < 6:
                w, b = (
                    Tensor(np.asarray(t.data - 0.1 * drawing[n].grad), requires_grad=True)
                    for t, n in ((w, "w"), (b, "b"))
                )
    np.testing.assert_allclose(losses, [1, 0.8, 0.6, 0.4, 0.2, 0], atol=1e-15)
    assert losses[-1] == pytest.approx(4.4e-16, abs=1e-17)
    np.testing.assert_allclose([w.item(), b.item()], [1.5, -0.5], atol=1e-15)
    # Rounding leaves the prediction just below 1, so the next step goes back up.
    steps = [0.1 * drawing[name].grad.item() for name in ("w", "b")]
    np.testing.assert_allclose([w.item() - steps[0], b.item() - steps[1]], [1.6, -0.4], atol=1e-15)


@pytest.mark.parametrize("kind", ["recorded", "history"])
def test_g8_toy_graph(kind: str) -> None:
    """J = 3 (A + B C) at (5, 3, 2): 33, dv = 3, dA = 3, dB = 6, dC = 9."""
    a, b, c = scalar(5.0), scalar(3.0), scalar(2.0)
    with graph.record() as tape:
        u = b * c
        v = a + u
        j = 3 * v
    names = {"A": a, "B": b, "C": c, "u": u, "v": v, "J": j}
    drawing = tape.graph(j, names) if kind == "recorded" else graph.from_tensor(j, names)
    values = {node.name: node.value.item() for node in drawing.nodes}
    gradients = {node.name: node.grad.item() for node in drawing.nodes}
    assert values == {"A": 5, "B": 3, "C": 2, "u": 6, "v": 11, "J": 33}
    assert gradients == {"A": 3, "B": 6, "C": 9, "u": 3, "v": 3, "J": 1}
    text = drawing.to_mermaid()
    assert text.startswith("flowchart LR\n")
    # The number 3 is in the record alone.
    last = "J: 3 ×" if kind == "recorded" else "J: ×"
    assert '(["B<br/>= 3<br/>∂ 6"])' in text and f'["{last}<br/>= 33<br/>∂ 1"]' in text
    assert len(re.findall(r'n\d+ -->\|"∂ \d+"\| n\d+', text)) == 5


def test_g3_shares_on_the_edges() -> None:
    """add hands the gradient on to both, a product switches, max routes; x x counts twice."""
    x, y = scalar(3.0), scalar(5.0)
    with graph.record() as tape:
        z = x.maximum(y) + x * x
    drawing = tape.graph(z, {"x": x, "y": y})
    shares = {(edge.source.label, edge.target.label, edge.grad.item()) for edge in drawing.edges}
    assert shares == {
        ("x", "max/min", 0),
        ("y", "max/min", 1),
        ("x", "×", 3),
        ("max/min", "+", 1),
        ("×", "+", 1),
    }
    assert [edge.target.label for edge in drawing.edges].count("×") == 2
    assert drawing["x"].grad.item() == 6


def test_numbers_stand_on_their_side() -> None:
    x = scalar(4.0)
    with graph.record() as tape:
        y = 1 - 2 / (x**0.5 - 3)
    labels = [node.label for node in tape.graph(y).nodes]
    assert labels == ["leaf", "^ 0.5", "− 3", "2 ÷", "1 −"]


def test_gradients_are_those_of_backward() -> None:
    """A network with a loss: every leaf, after hooks have had their say; `grad` stays empty."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = neurona.randn(5, 3)
    with graph.record() as tape:
        hidden = net[1](net[0](x))
        hidden.register_hook(lambda grad: grad * 2)
        loss = nn.functional.cross_entropy(net[2](hidden), neurona.tensor([0, 1, 1, 0, 1]))
    named = dict(net.named_parameters())
    recorded = tape.graph(loss, {**named, "x": x, "hidden": hidden})
    history = graph.from_tensor(loss, named)
    assert all(parameter.grad is None for parameter in named.values())
    loss.backward()
    for name, parameter in named.items():
        np.testing.assert_array_equal(recorded[name].grad, parameter.grad.data)
        np.testing.assert_array_equal(history[name].grad, parameter.grad.data)
    assert recorded["x"].grad is None and recorded["hidden"].value.shape == (5, 4)
    assert recorded["hidden"].lines[1:] == ["(5, 4)", "∂ (5, 4)"]
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        graph.from_tensor(loss)
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        tape.graph(loss)


def test_upstream_gradient_and_graphs_without_one() -> None:
    x = neurona.tensor([1.0, 2.0], requires_grad=True)
    with graph.record() as tape:
        y = x * 3
        z = neurona.ones(2).exp()
    drawing = tape.graph(y, {"x": x}, neurona.tensor([1.0, 10.0]))
    assert drawing["x"].grad.tolist() == [3, 30]
    with pytest.raises(RuntimeError, match="no scalar"):
        tape.graph(y)
    assert [node.lines for node in tape.graph(z).nodes] == [
        ["const", "= [1, 1]"],
        ["Exp", "= [2.718, 2.718]"],
    ]


def test_svg_holds_every_box_once_and_none_overlap() -> None:
    w1, w2 = scalar(0.5), scalar(-1.5)
    with graph.record() as tape:
        h = w1 * w2 + w1
        y = (h * h + w1 * 3 < 0).float() * 0 + (h - w2).abs() * w1
    drawing = tape.graph(y, {"w<1>": w1, "w2": w2})
    root = ElementTree.fromstring(drawing.to_svg())
    boxes = [
        tuple(float(rect.get(k)) for k in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class")
    ]
    assert len(boxes) == len(drawing.nodes)
    width, height = float(root.get("width")), float(root.get("height"))
    for i, (x, y0, w, h0) in enumerate(boxes):
        assert 0 <= x and x + w <= width + 1 and 0 <= y0 and y0 + h0 <= height + 1
        for x2, y2, w2_, h2 in boxes[i + 1 :]:
            assert x + w <= x2 or x2 + w2_ <= x or y0 + h0 <= y2 or y2 + h2 <= y0
    texts = [t.text for t in root.iter(f"{SVG}text")]
    for node in drawing.nodes:
        assert all(line in texts for line in node.lines)
    assert "w<1>" in texts
    labels = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "gradient"]
    assert len(labels) == sum(edge.grad is not None for edge in drawing.edges)
    arrows = [p for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    assert len(arrows) == len(drawing.edges)


@pytest.mark.parametrize(("suffix", "start"), [("svg", "<svg"), ("dot", "digraph"), ("mmd", "fl")])
def test_save(tmp_path: Path, suffix: str, start: str) -> None:
    x = scalar(1.0)
    drawing = graph.from_tensor(x * 2)
    drawing.save(tmp_path / f"g.{suffix}")
    assert (tmp_path / f"g.{suffix}").read_text("utf-8").startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [f"g.{suffix}"]
    with pytest.raises(ValueError, match="path must end in .svg, .dot, .gv, .mmd, got"):
        drawing.save(tmp_path / "g.png")


def test_recording_leaves_nothing_behind() -> None:
    """Blocks may nest and fail; other threads are not watched; afterwards `apply` is its own."""
    before = Function.__dict__["apply"]
    seen: list[int] = []
    with graph.record() as outer:
        neurona.ones(1).exp()
        with pytest.raises(KeyError), graph.record() as inner:
            neurona.ones(1).log()
            raise KeyError
        thread = threading.Thread(target=lambda: seen.append(neurona.ones(1).exp().numel()))
        thread.start()
        thread.join()
    assert Function.__dict__["apply"] is before and seen == [1]
    assert [call.function.__name__ for call in outer.calls] == ["Exp", "Log"]
    assert [call.function.__name__ for call in inner.calls] == ["Log"]


def test_deep_graphs_do_not_recurse() -> None:
    x = y = scalar(1.0)
    for _ in range(3000):
        y = y * 1.0
    assert len(graph.from_tensor(y, {"x": x}).nodes) == 3001


def test_bad_arguments() -> None:
    x = scalar(1.0)
    with graph.record() as tape:
        y = x * 2
    with pytest.raises(ValueError, match="output must be made inside the record block"):
        tape.graph(x * 3)
    with pytest.raises(TypeError, match="output must be a Tensor, got int"):
        tape.graph(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="output must be a Tensor, got int"):
        graph.from_tensor(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output must have a history, got a leaf"):
        graph.from_tensor(x)
    with pytest.raises(TypeError, match="names must map to Tensors, got float"):
        tape.graph(y, {"x": 1.0})  # type: ignore[dict-item]
    with pytest.raises(KeyError, match="nobody"):
        tape.graph(y)["nobody"]
