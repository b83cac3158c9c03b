"""The benchmark's peers, as far as they can be tested without their libraries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurona import nn
from neurona.bench import report, verify
from neurona.bench.client import Worker
from neurona.bench.peers import layers, models
from neurona.bench.peers.steps import network_arrays, training_outputs
from neurona.bench.peers.worker import Request
from neurona.bench.rows import Row
from neurona.bench.session import OURS, VARIANTS, Session, Settings, select_peers
from neurona.cli.bench import PEERS

SETTINGS = Settings(threads=1, rounds=2, min_sample_ms=0.01, pause_ms=0.0)
STEP: dict[str, Any] = {"model": "lenet5", "batch": 2, "lr": 0.01, "momentum": 0.9}


def shapes_by_name(model: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(parameter.shape)) for name, parameter in model.named_parameters()]


# Layers


@pytest.mark.parametrize("name", models.NETWORKS)
def test_layers_have_the_parameters_of_a_network(name: str) -> None:
    ours = shapes_by_name(models.build(nn, name))
    assert shapes_by_name(models.build(layers, name)) == ours


def test_networks_start_from_the_same_numbers() -> None:
    request = Request("step", "train_step", "S", STEP, 0, {})
    theirs, ours = (network_arrays(models.build(lib, "lenet5"), request) for lib in (layers, nn))
    assert list(theirs.parameters) == list(ours.parameters)
    for name, values in ours.parameters.items():
        assert np.array_equal(theirs.parameters[name], values)
    assert np.array_equal(theirs.x, ours.x) and np.array_equal(theirs.labels, ours.labels)


class Trace:
    """A ``layers.Value`` that writes down what is asked of it."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def __add__(self, other: Trace) -> Trace:
        return self._write("add")

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._write(name, *arguments)

    def _write(self, *call: Any) -> Trace:
        self.calls.append(call)
        return self


def traced(name: str) -> list[Any]:
    model = models.build(layers, name)
    layers.assign(model, {name: name for name, _ in model.named_parameters()})
    calls: list[Any] = []
    model(Trace(calls))
    return calls


def test_a_network_asks_its_input_layer_by_layer() -> None:
    assert traced("lenet5")[:5] == [
        ("conv2d", "0.weight", "0.bias", 1, 2),
        ("relu",),
        ("max_pool2d", 2, 2, 0),
        ("conv2d", "3.weight", "3.bias", 1, 0),
        ("relu",),
    ]
    assert traced("lenet5")[-1] == ("linear", "11.weight", "11.bias")


def test_a_residual_block_adds_its_shortcut() -> None:
    calls = traced("resnet8")
    first = calls[calls.index(("conv2d", "3.body.0.weight", None, 1, 1)) :]
    names = ["conv2d", "batch_norm", "relu", "conv2d", "batch_norm", "add", "relu"]
    assert [call[0] for call in first[:7]] == names
    assert ("conv2d", "4.shortcut.0.weight", None, 2, 0) in calls


def test_only_global_pooling_is_known() -> None:
    with pytest.raises(ValueError, match="size must be 1, got 2"):
        layers.AdaptiveAvgPool2d(2)


def test_training_outputs_are_updates() -> None:
    initial = {"w": np.array([1.0, 2.0], np.float32)}
    outputs = training_outputs(initial, {"w": np.array([1.5, 2.0])}, [2.3])
    assert outputs["update:w"].tolist() == [0.5, 0.0]
    assert outputs["before:w"].tolist() == [1.0, 2.0]
    assert outputs["losses"].tolist() == [2.3]


# Choice of peers and interpreters


def test_the_command_names_every_peer() -> None:
    assert tuple(variant.label for variant in VARIANTS if variant.label != OURS) == PEERS


@pytest.mark.parametrize("names", ["jax", "onnxruntime", "torch_compiled", "jax,onnxruntime"])
def test_peers_are_chosen_by_label(names: str) -> None:
    assert [peer.label for peer in select_peers(names)] == names.split(",")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
def test_every_variant_has_a_peer(variant: Any) -> None:
    peers = Path(models.__file__).parent
    assert (peers / f"{variant.module}_peer.py").is_file()
    assert variant.note


@pytest.mark.parametrize(
    "module, borrowed",
    [("torch", True), ("jax", True), ("onnxruntime", True), ("numpy", False), (OURS, False)],
)
def test_another_interpreter_serves_what_this_one_may_lack(module: str, borrowed: bool) -> None:
    other = Session(SETTINGS, [], "/other/python")
    assert other._interpreter(module) == ("/other/python" if borrowed else sys.executable)
    other.close()
    same = Session(SETTINGS, [])
    assert same._interpreter(module) == sys.executable
    same.close()


# The table


def record_of(peer: str) -> dict[str, Any]:
    times = {"median_ns": 1e6, "q1_ns": 1e6, "q3_ns": 1e6, "iqr_ns": 0.0}
    shares = {"gflops": None, "share_of_peak": None, "share_of_bandwidth": None}
    record = {"name": "small", "direction": "F", "number": 1, "peer": peer, "status": "ok"}
    if peer != OURS:
        ratio = {"median": 99.5, "q1": 98.5, "q3": 100.5, "verdict": "slower"}
        return {**record, **times, **shares, "ratio": ratio}
    return {**record, **times, **shares}


@pytest.mark.parametrize("count, quartiles", [(3, True), (6, False)])
def test_the_table_fits_its_width(count: int, quartiles: bool) -> None:
    labels = [OURS, *PEERS[:count]]
    titles, line = report.header(labels), report.row_line([record_of(x) for x in labels], labels)
    assert max(len(titles), len(line)) <= report.TABLE_WIDTH
    assert ("[98.50-100.50]" in line) == quartiles
    starts = [titles.index(f" {label}") for label in labels[2:]]
    assert all(line[start:].startswith(" 99.50x") for start in starts)
    assert ("[quartiles]" in "\n".join(report.legend_lines(labels, None))) == quartiles


# Real libraries, where they are installed


REAL = [
    ("onnxruntime", Row("small", "gemm", "F", None, dict(M=5, N=7, K=9, trans_a=1, trans_b=1))),
    ("jax", Row("ce", "cross_entropy", "FB", None, {"N": 9, "C": 10})),
    *(
        ("jax", Row("up", "conv_transpose2d", direction, None, shape))
        for direction in "FDW"
        for shape in [
            dict(N=2, C=4, H=6, W=5, K=6, R=3, S=3, stride=2, padding=1, bias=1),
        ]
    ),
    *(
        ("jax", Row("groups", "conv2d", direction, None, shape))
        for direction in "FDW"
        for shape in [
            dict(N=2, C=4, H=6, W=5, K=6, R=3, S=2, stride=2, padding=[0, 1], groups=2, bias=1),
        ]
    ),
]


@pytest.mark.parametrize("module, row", REAL, ids=lambda value: getattr(value, "label", value))
def test_a_real_peer_is_right(module: str, row: Row, tmp_path: Path) -> None:
    pytest.importorskip(module)
    worker = Worker(module, sys.executable, 1)
    fields = {"name": row.name, "op": row.op, "direction": row.direction, "seed": 0, "options": {}}
    answer = worker.ask("prepare", parameters=row.parameters, folder=str(tmp_path), **fields)
    worker.close()
    outputs = {name: np.load(path) for name, path in answer["outputs"].items()}
    assert verify.complaints(verify.expected_outputs(row, 0), outputs) == []


@pytest.mark.parametrize("label", ["torch_compiled", "jax"])
def test_a_real_training_step_is_verified(label: str) -> None:
    (variant,) = select_peers(label)
    pytest.importorskip(variant.module)
    with Session(SETTINGS, [variant]) as session:
        records = session.run(Row("step", "train_step", "S", None, STEP))
    assert [record["status"] for record in records] == ["ok", "ok"]
