"""The benchmark itself: rows, costs, verification, workers, verdicts, reports; not its timings."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona.bench
from neurona.bench import report, verify
from neurona.bench.client import Worker, WorkerDied, WorkerError
from neurona.bench.cost import Work, work
from neurona.bench.peers import models, neurona_peer, numpy_peer, worker
from neurona.bench.peers.inputs import build_inputs
from neurona.bench.peers.steps import OPTIMIZERS
from neurona.bench.rows import Row, load_rows, parse_value, select_rows
from neurona.bench.session import (
    OURS,
    VARIANTS,
    Session,
    Settings,
    add_share_of_bandwidth,
    select_peers,
    summarise,
)
from neurona.bench.statistics import Spread, geometric_mean, ratio, spread, verdict
from neurona.cli import main
from neurona.errors import FormatError

ROWS = {row.label: row for row in load_rows()}
GEMM: dict[str, Any] = {"M": 5, "N": 7, "K": 9, "trans_a": 0, "trans_b": 1}
SMALL = Row("small", "gemm", "F", None, GEMM)
SETTINGS = Settings(threads=1, rounds=3, min_sample_ms=0.01, pause_ms=0.0)


def conv_row(direction: str, **changes: Any) -> Row:
    p = {"N": 2, "C": 4, "H": 6, "W": 5, "K": 6, "R": 3, "S": 3, "stride": 1, "padding": 1}
    return Row("tiny", "conv2d", direction, None, {**p, "groups": 1, "bias": 1, **changes})


def request(row: Row) -> worker.Request:
    return worker.Request(row.name, row.op, row.direction, row.parameters, 0, {})


# Rows


def test_every_numbered_row_is_there() -> None:
    assert {row.number for row in ROWS.values()} - {None} == set(range(1, 27))


def test_values_of_a_column() -> None:
    assert parse_value("5") == 5
    assert parse_value("0.9") == 0.9
    assert parse_value("5x1") == [5, 1]
    assert parse_value("lenet5") == "lenet5"


@pytest.mark.parametrize(
    "pattern, count",
    [("gemm", 7), ("gemm_64", 1), ("res2:W", 1), ("res?:D", 4), ("lenet5", 4), ("infer", 4)],
)
def test_patterns(pattern: str, count: int) -> None:
    assert len(select_rows(list(ROWS.values()), [pattern])) == count


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="pattern must match a row, got 'gem_64'"):
        select_rows(list(ROWS.values()), ["gem_64"])


def test_peers() -> None:
    torches = ["torch", "torch_tuned", "torch_compiled"]
    assert [peer.label for peer in select_peers("torch")] == torches
    assert [peer.label for peer in select_peers("numpy,torch_tuned")] == ["torch_tuned", "numpy"]
    assert len(select_peers("all")) == 6
    assert select_peers("none") == []
    with pytest.raises(ValueError, match="peers must be among"):
        select_peers("tensorflow")


# Work


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.label)
def test_every_row_has_work(row: Row) -> None:
    assert max(work(row)) > 0


@pytest.mark.parametrize(
    "label, expected",
    [
        ("gemm_256:F", Work(2 * 256**3, 3 * 4 * 256**2)),
        ("linear_784_512:D", Work(2 * 128 * 784 * 512, 4 * (128 * 784 + 784 * 512 + 128 * 512))),
        ("lenet_conv1:F", Work(2 * 64 * 6 * 784 * 25, 4 * (64 * 784 + 64 * 6 * 784 + 150))),
        ("deconv_4x4:F", Work(2 * 16 * 64 * 256 * 32 * 16, 4 * (16 * 64 * 256 * 3 + 64 * 32 * 16))),
        ("max_pool_64x64x56:F", Work(0, 64 * 64 * 28 * 28 * (16 + 4 + 1))),
        ("adam_25.6M:U", Work(0, 7 * 4 * 25_600_000)),
        ("lenet5_b64:S", Work(2 * 64 * (3 * 416_520 - 117_600), 0)),
    ],
)
def test_work_by_hand(label: str, expected: Work) -> None:
    assert work(ROWS[label]) == expected


@pytest.mark.parametrize("name, count", [("lenet5", 61_706), ("mlp64", 59_210)])
def test_networks_have_the_published_size(name: str, count: int) -> None:
    from neurona import nn

    model = models.build(nn, name)
    assert sum(int(np.prod(p.shape)) for p in model.parameters()) == count


@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_network_classifies(name: str) -> None:
    *_, before_last = models._shapes(name)
    assert models.classes(name) in (10, 1000)
    assert all(size > 0 for size in before_last)


# Inputs and verification


def test_inputs_repeat_and_differ_between_rows() -> None:
    first, again = (build_inputs("small", "gemm", "F", GEMM, 0) for _ in range(2))
    other = build_inputs("other", "gemm", "F", GEMM, 0)
    assert np.array_equal(first["a"], again["a"])
    assert not np.array_equal(first["a"], other["a"])
    assert first["b"].shape == (7, 9)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_right_result_passes(trans_a: int, trans_b: int) -> None:
    row = Row("small", "gemm", "F", None, {**GEMM, "trans_a": trans_a, "trans_b": trans_b})
    task = numpy_peer.prepare(request(row))
    assert verify.complaints(verify.expected_outputs(row, 0), task.outputs(task.run())) == []


@pytest.mark.parametrize("direction", "FDW")
def test_numpy_linear_passes(direction: str) -> None:
    p = {"N": 6, "in_features": 20, "out_features": 11, "bias": 1}
    row = Row("small", "linear", direction, None, p)
    task = numpy_peer.prepare(request(row))
    assert verify.complaints(verify.expected_outputs(row, 0), task.outputs(task.run())) == []


LOSSES = ("mse", "l1", "huber", "smooth_l1", "hinge", "bce", "bce_with_logits", "kl_div")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "hard_sigmoid", "tanh")
ACTIVATIONS += ("softplus",)
NAILS: dict[str, Any] = {"N": 2, "C": 3, "H": 4, "W": 5}

ALL_OPS = [
    SMALL,
    *(conv_row(direction) for direction in "FDW"),
    conv_row("F", groups=2, bias=0, stride=2, padding=[0, 1]),
    Row("t", "conv_transpose2d", "W", None, conv_row("W").parameters | {"stride": 2}),
    Row("t", "conv_transpose2d", "D", None, conv_row("D").parameters | {"stride": 2}),
    *(
        Row("pool", "max_pool2d", direction, None, dict(shape, kernel_size=3, stride=2, padding=1))
        for direction in "FB"
        for shape in [{"N": 2, "C": 3, "H": 9, "W": 8}]
    ),
    *(
        Row("up", "upsample", direction, None, dict(shape, factor=2, mode=mode))
        for direction in "FB"
        for mode in ("nearest", "bilinear")
        for shape in [{"N": 2, "C": 3, "H": 4, "W": 5}]
    ),
    Row("maps", "affine", "F", None, {"N": 2, "C": 1, "H": 6, "W": 7}),
    *(Row("order", "reorder", d, None, {"N": 2, "C": 3, "H": 6, "W": 7}) for d in "FB"),
    Row("d", "pairwise_distances", "F", None, {"N": 4, "D": 3}),
    *(Row("bn", "batch_norm_relu", d, None, {"N": 4, "C": 3, "H": 6, "W": 5}) for d in "FB"),
    Row("ce", "cross_entropy", "FB", None, {"N": 9, "C": 10}),
    *(
        Row(name, "activation", d, None, {"N": 2, "C": 3, "H": 5, "W": 7, "activation": name})
        for d in "FB"
        for name in ACTIVATIONS
    ),
    *(Row("unpool", "max_unpool2d", d, None, dict(NAILS, factor=2)) for d in "FB"),
    Row("nails", "bed_of_nails", "F", None, dict(NAILS, factor=3)),
    *(Row(loss, "pointwise_loss", "FB", None, {"N": 9, "C": 100, "loss": loss}) for loss in LOSSES),
    Row("focal", "focal_loss", "FB", None, {"N": 9, "C": 10, "gamma": 2.0}),
    *(Row(name, "optimizer", "U", None, {"optimizer": name, "count": 1000}) for name in OPTIMIZERS),
]


def faults(value: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Wrong versions of a float32 result."""
    off, lost = value.copy(), value.copy()
    largest = np.unravel_index(np.abs(value).argmax(), value.shape)
    off[largest] *= 1 + 1e-3
    lost[largest] = np.nan
    return {"one off": off, "a NaN": lost, "zero": np.zeros_like(value), "shape": value[..., None]}


@pytest.mark.parametrize("row", ALL_OPS, ids=lambda row: f"{row.op}-{row.label}")
def test_rounding_passes_and_faults_do_not(row: Row) -> None:
    expected = verify.expected_outputs(row, 0)
    rounded = {name: e.value.astype(np.float32) for name, e in expected.items()}
    if row.label == "pool:F":  # exact on float32 inputs
        assert all(np.array_equal(rounded[name], e.value) for name, e in expected.items())
    assert verify.complaints(expected, rounded) == []
    for name, value in rounded.items():
        for fault, wrong in faults(value).items():
            lines = verify.complaints(expected, {**rounded, name: wrong})
            assert len(lines) == 1 and lines[0].startswith(name), fault
    assert len(verify.complaints(expected, {})) == len(expected)


@pytest.mark.parametrize("row", ALL_OPS, ids=lambda row: f"{row.op}-{row.label}")
def test_neurona_passes_its_own_verification(row: Row) -> None:
    task = neurona_peer.prepare(request(row))
    expected = verify.expected_outputs(row, 0, task.plan)
    assert verify.complaints(expected, task.outputs(task.run())) == []


def test_winograd_widens_the_bound() -> None:
    plain, winograd = (
        verify.expected_outputs(conv_row("F"), 0, plan)["y"].bound
        for plan in ("im2col: default", "Winograd F(4x4, 3x3)")
    )
    assert np.all(winograd > plain)


def test_network_bounds() -> None:
    random = np.random.default_rng(3)
    truth = {
        "losses": np.array([2.3, 2.2]),
        "before:w": random.normal(size=(8, 8)),
        "update:w": 1e-2 * random.normal(size=(8, 8)),
    }
    expected = verify.expected_of_network(truth)
    assert verify.complaints(expected, truth) == []
    assert verify.complaints(expected, {**truth, "losses": np.array([2.3, 2.21])})
    assert verify.complaints(expected, {**truth, "update:w": 0.9 * truth["update:w"]})
    assert verify.complaints(expected, {**truth, "update:w": np.full((8, 8), np.nan)})


# Statistics


def test_verdict_is_a_tie_inside_the_noise() -> None:
    ours = [1.0, 1.1, 1.2, 1.3]
    assert verdict([1.25, 1.35, 1.2, 1.1], ours) == "tie"
    assert verdict([2.0, 2.1, 2.2, 2.3], ours) == "faster"
    assert verdict([0.5, 0.6, 0.5, 0.6], ours) == "slower"


def test_ratio_is_formed_round_by_round() -> None:
    # The machine slows down tenfold in the last rounds, the ratio stays.
    assert ratio([2.0, 2.0, 20.0, 20.0], [1.0, 1.0, 10.0, 10.0]) == Spread(2.0, 2.0, 2.0)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)


# Workers


def test_peers_do_not_need_neurona() -> None:
    folder = Path(neurona.bench.__file__).parent / "peers"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, f"{path.name} reaches outside its folder"
                names = [node.module or ""] if node.level == 0 else []
            tops = {name.partition(".")[0] for name in names}
            assert "neurona" not in tops or path.name == "neurona_peer.py", path.name


def test_calibration_finds_enough_calls() -> None:
    calls = []
    task = worker.Task(lambda: calls.append(None), lambda _: {}, reset=calls.clear)
    loops = worker.calibrate(task, 200_000)
    assert loops == len(calls) >= 1
    assert worker.calibrate(task, 0) == 1


@pytest.fixture
def numpy_worker() -> Any:
    process = Worker("numpy", sys.executable, 1, timeout=60)
    yield process
    process.close()


def ask_prepare(process: Worker, row: Row, folder: Path, **changes: Any) -> dict[str, Any]:
    fields = {"name": row.name, "op": row.op, "direction": row.direction, "seed": 0, "options": {}}
    return process.ask(
        "prepare", parameters=row.parameters, folder=str(folder), **{**fields, **changes}
    )


def test_a_worker_prepares_and_times(numpy_worker: Worker, tmp_path: Path) -> None:
    assert numpy_worker.versions["numpy"] == np.__version__
    answer = ask_prepare(numpy_worker, SMALL, tmp_path)
    y = np.load(answer["outputs"]["y"])
    assert verify.complaints(verify.expected_outputs(SMALL, 0), {"y": y}) == []
    assert numpy_worker.ask("calibrate", min_ns=1000)["loops"] >= 1
    assert numpy_worker.ask("time", loops=3)["ns"] > 0
    assert ask_prepare(numpy_worker, conv_row("F"), tmp_path)["unsupported"]


def test_a_worker_survives_a_bad_request(numpy_worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="no row is prepared"):
        numpy_worker.ask("time", loops=1)
    with pytest.raises(WorkerError, match="KeyError"):
        ask_prepare(numpy_worker, Row("small", "gemm", "F"), tmp_path)
    with pytest.raises(WorkerError, match="command must be a known one, got 'sing'"):
        numpy_worker.ask("sing")
    assert "y" in ask_prepare(numpy_worker, SMALL, tmp_path)["outputs"]


def test_a_dead_worker_is_reported(numpy_worker: Worker) -> None:
    numpy_worker._process.kill()
    with pytest.raises(WorkerDied, match="SIGKILL"):
        numpy_worker.ask("hello")


def test_a_library_that_is_not_there() -> None:
    with pytest.raises(WorkerDied, match="No module named 'peers.absent_peer'"):
        Worker("absent", sys.executable, 1)


# Sessions


@pytest.fixture(scope="module")
def session() -> Any:
    with Session(SETTINGS, select_peers("numpy")) as running:
        yield running


def test_a_session_compares(session: Session) -> None:
    assert session.labels == [OURS, "numpy"]
    ours, theirs = records = session.run(SMALL)
    add_share_of_bandwidth(records, {"fma_flops": 1e12, "bandwidth_bytes": 1e12})
    for record in records:
        assert (record["status"], record["samples"]) == ("ok", 3)
        assert record["q1_ns"] <= record["median_ns"] <= record["q3_ns"]
        assert 0 < record["share_of_peak"] < 1
        assert record["share_of_bandwidth"] == pytest.approx(record["gbytes"] / 1e3)
    assert "ratio" not in ours
    assert theirs["ratio"]["q1"] <= theirs["ratio"]["median"] <= theirs["ratio"]["q3"]


def test_the_share_of_the_peak_is_taken_round_by_round() -> None:
    # A clock that halves for one round slows the row and the peak alike.
    flops = work(SMALL).flops
    records: dict[str, Any] = {OURS: {}}
    summarise(
        SMALL, {OURS: [100.0, 200.0, 100.0]}, [flops / 5e-8, flops / 1e-7, flops / 4e-8], records
    )
    assert records[OURS]["share_of_peak"] == pytest.approx(0.5)
    summarise(SMALL, {OURS: [100.0]}, [], records)
    assert records[OURS]["share_of_peak"] is None


def test_a_row_that_a_peer_lacks_is_left_out(session: Session) -> None:
    assert [record["peer"] for record in session.run(conv_row("F"))] == [OURS]


def test_a_wrong_row_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = verify.expected_outputs

    def shifted(*args: Any) -> dict[str, verify.Expected]:
        return {name: e._replace(value=e.value + 1) for name, e in right(*args).items()}

    monkeypatch.setattr(verify, "expected_outputs", shifted)
    for record in session.run(SMALL):
        assert record["status"] == "wrong"
        assert "y is off by" in record["reason"]
        assert "median_ns" not in record


def test_a_network_is_verified_and_timed(session: Session) -> None:
    p = {"model": "mlp64", "batch": 4, "lr": 0.01, "momentum": 0.9}
    (record,) = session.run(Row("step", "train_step", "S", None, p))
    assert record["status"] == "ok", record
    assert record["verified"] == "neurona.reference, float64"


def test_a_crash_costs_one_row(session: Session) -> None:
    session._workers["numpy"]._process.kill()
    assert [record["status"] for record in session.run(SMALL)] == ["ok", "error"]
    assert [record["status"] for record in session.run(SMALL)] == ["ok", "ok"]


def test_a_missing_peer_is_no_error() -> None:
    absent = VARIANTS[-1]._replace(label="absent", module="absent")
    with Session(SETTINGS, [absent]) as session:
        assert session.labels == [OURS]
        assert "No module named" in session.missing["absent"]
        assert "\n" not in session.missing["absent"]


# Reports


def record_of(peer: str, median: float, **more: Any) -> dict[str, Any]:
    record = {"name": "small", "direction": "F", "number": 1, "peer": peer, "status": "ok"}
    record["threads"] = 1
    times = {"median_ns": median, "q1_ns": 0.9 * median, "q3_ns": 1.1 * median}
    rates = {"iqr_ns": 0.2 * median, "gflops": 1.0, "share_of_peak": 0.5}
    return {**record, **times, **rates, "share_of_bandwidth": None, **more}


def ratio_of(median: float, word: str) -> dict[str, Any]:
    return {"median": median, "q1": 0.9 * median, "q3": 1.1 * median, "verdict": word}


@pytest.mark.parametrize(
    "nanoseconds, text",
    [
        (12.3, "12.3 ns"),
        (1234.0, "1.23 us"),
        (317_000.0, "317 us"),
        (5.6e7, "56.0 ms"),
        (2e9, "2.00 s"),
    ],
)
def test_durations(nanoseconds: float, text: str) -> None:
    assert report.duration(nanoseconds) == text


def test_a_lost_row_is_shown_as_lost() -> None:
    records = [
        record_of(OURS, 2e6),
        record_of("torch", 1e6, ratio=ratio_of(0.5, "slower")),
        record_of("numpy", 2e6, ratio=ratio_of(1.0, "tie")),
    ]
    line = report.row_line(records, [OURS, "torch", "torch_tuned", "numpy"])
    assert "0.50x [0.45-0.55] loses" in line
    assert line.endswith("1.00x [0.90-1.10] tie")
    assert "against torch: 0 faster, 0 ties, 1 slower; geometric mean 0.50x" in (
        report.summary_lines(records)
    )


def test_refusals_are_shown() -> None:
    wrong = {**record_of(OURS, 1.0), "status": "wrong", "reason": "y is off by 3 times"}
    del wrong["median_ns"]
    assert "wrong" in report.row_line([wrong], [OURS])
    assert report.trouble_lines([wrong]) == ["     neurona: wrong: y is off by 3 times"]
    assert "1 results failed" in report.summary_lines([wrong])[-1]


def test_documents_are_written_read_and_compared(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "results" / "now.json"
    report.write_json(path, report.document(session, [record_of(OURS, 2e6)], None))
    old = report.read_json(path)
    assert old["schema"] == report.SCHEMA
    assert old["machine"]["cpu"] and old["versions"]["neurona"]
    faster = report.comparison_lines(old, [record_of(OURS, 1e6)])[1]
    assert "2.00 ms -> 1.00 ms" in faster and faster.endswith("2.00x  faster")
    assert report.comparison_lines(old, [record_of(OURS, 2.1e6)])[1].endswith("same")
    other = report.comparison_lines(old, [record_of(OURS, 2e6, threads=2)])
    assert "another number of threads: 1" in other[1]


def test_another_file_is_not_a_result(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for content in ("{}", "[]", "no json"):
        path.write_text(content)
        with pytest.raises(FormatError, match="not a benchmark result"):
            report.read_json(path)


# Command line


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list", "gemm"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7


@pytest.mark.parametrize("words", [["gem_64"], ["--peers", "tensorflow"], ["--rounds", "0"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert capsys.readouterr().err


def test_a_missing_file_to_compare_with(tmp_path: Path) -> None:
    assert main(["bench", "gemm_64", "--compare", str(tmp_path / "none.json")]) == 3


def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    words = ["gemm_64", "--peers", "numpy", "--threads", "1", "--rounds", "2", "--quick"]
    assert main(["bench", *words, "--json", str(path)]) == 0
    assert "gemm_64 F" in capsys.readouterr().out
    results = json.loads(path.read_text())["results"]
    assert [record["peer"] for record in results] == [OURS, "numpy"]
