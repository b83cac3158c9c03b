"""What `python -m bench.gpu` makes of results: figures, goals, tables. Its rows rehearse
themselves, beside PyTorch.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def gpu() -> Any:
    """The package bench.gpu, which stays in the source tree."""
    sys.path.insert(0, str(ROOT))
    try:
        from bench.gpu import __main__ as command
        from bench.gpu import checks, deadline, goals, machine, report, rows, runner
    finally:
        sys.path.remove(str(ROOT))
    return {
        "checks": checks, "command": command, "deadline": deadline, "goals": goals,
        "machine": machine, "report": report, "rows": rows, "runner": runner,
    }  # fmt: skip


def result(flops: float = 0.0, moved: float = 0.0, **times: float) -> dict[str, Any]:
    return {
        "status": "ok", "flops": flops, "bytes": moved, "error": 0.0, "note": "",
        "times": {form: {"median_us": us} for form, us in times.items()},
    }  # fmt: skip


RESULTS = {
    "copy_256MB": result(moved=4e8, neurona=100.0, torch=110.0),
    "relu_64M": result(moved=4e8, neurona=125.0, torch=120.0),
    "add_64M": result(moved=8e8, neurona=200.0, torch=210.0),
    "gemm_8192_highest": result(flops=1e12, neurona=2e4, torch=1.9e4),
    "step_lenet5_b128_highest": result(
        flops=1e9, neurona=400.0, neurona_recorded=50.0, torch=600.0, torch_nhwc=500.0,
        torch_graph=80.0,
    ),
    "gemm_8192_medium": {"status": "failed", "note": "illegal address"},
}  # fmt: skip


def test_every_goal_is_one_of_rows_that_exist(gpu: Any) -> None:
    for goal in gpu["goals"].GOALS:
        assert any(re.fullmatch(goal.rows, name) for name in gpu["rows"].ROWS), goal.rows


def test_rows_have_names_of_their_own(gpu: Any) -> None:
    assert len(gpu["rows"].ROWS) == sum(len(rows) for rows in gpu["rows"].TOPICS.values())


def test_figures_of_goals(gpu: Any) -> None:
    figures = {
        (goal.what, goal.unit): gpu["goals"].figure_of(goal, RESULTS) for goal in gpu["goals"].GOALS
    }
    assert figures["float32 product 8192", "x"] == "0.95 x"
    assert figures["float32 product 8192", "Tflop/s"] == "50 Tflop/s"
    # The geometric mean of 80 % and 100 %.
    assert figures["element-wise", "% of copy"] == "89.4 % of copy"
    assert figures["step LeNet-5 b128", "us"] == "50 us"
    assert figures["the same to PyTorch eager", "x"] == "10 x"
    assert figures["the same to PyTorch's CUDA graph", "x"] == "1.6 x"
    assert figures["bfloat16 product 8192", "x"] == "not measured"


def test_report_has_every_row(gpu: Any) -> None:
    text = gpu["report"].markdown({"results": RESULTS}, gpu["rows"].TOPICS)
    for name in gpu["rows"].ROWS:
        assert f"\n| {name} | " in text
    assert "| relu_64M | 125 us | 3200 GB/s | 80 % | 0.96x of torch |" in text
    assert "| gemm_8192_medium | failed |" in text
    assert "1.60x of torch_graph" in text


def test_nothing_is_measured_without_results(gpu: Any) -> None:
    text = gpu["report"].goals_table({})
    assert text.count("not measured") == len(gpu["goals"].GOALS)


def test_a_line_for_the_terminal(gpu: Any) -> None:
    line = gpu["report"].line_of("step_lenet5_b128_highest", RESULTS)
    assert "50.0 us" in line and "neurona 8.00x" in line and "torch_graph 1.60x" in line
    assert "failed: illegal address" in gpu["report"].line_of("gemm_8192_medium", RESULTS)


def test_tests_that_hang_cost_themselves_and_no_more(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named, and the others run."""
    (tmp_path / "tests").mkdir()
    for name, body in {"right": "pass", "hanging": "import time; time.sleep(60)"}.items():
        (tmp_path / "tests" / f"test_{name}.py").write_text(f"def test_{name}():\n    {body}\n")
    (tmp_path / "tests" / "test_dlpack.py").write_text("def test_dlpack():\n    assert False\n")
    checks = gpu["checks"]
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    monkeypatch.setattr(checks, "TEST_FILES", ("test_right.py", "test_hanging.py"))
    monkeypatch.setattr(checks, "FILE_LIMIT_S", 5)
    outcomes: dict[str, Any] = {}
    saved: list[dict[str, bool]] = []

    def run(minutes: float | None = None, **options: Any) -> dict[str, bool]:
        saved.clear()
        checks.run_tests(
            outcomes, tmp_path / "log", environment=os.environ,
            deadline=gpu["deadline"].Deadline(minutes),
            save=lambda: saved.append({name: done["passed"] for name, done in outcomes.items()}),
            **options,
        )  # fmt: skip
        return saved[-1] if saved else {}

    passed = {"test_right.py": True, "test_hanging.py": False, "others": False}
    assert run(minutes=0) == {} == outcomes
    assert run() == passed
    assert saved[0] == {"test_right.py": True}
    assert re.search(r"after 5 s: .*test_hanging", outcomes["test_hanging.py"]["summary"])
    assert "1 failed" in outcomes["others"]["summary"]

    # What passed is not repeated, unless its sources have changed.
    (tmp_path / "tests" / "test_hanging.py").unlink()
    monkeypatch.setattr(checks, "TEST_FILES", ("test_right.py",))
    assert run() == passed and len(saved) == 2
    monkeypatch.setattr(checks, "selections", lambda: {"test_right.py": ["tests/test_right.py"]})
    assert run() == {} and run(again=True) == passed
    (tmp_path / "tests" / "test_right.py").write_text("def test_right():\n    assert False\n")
    assert run() == {**passed, "test_right.py": False}


# Answers a row by its name; what follows ends the process after its first answer, or before.
CHILD = """
import json, sys
for line in sys.stdin:
    if line == "deadly\\n": sys.exit(3)
    print(json.dumps({"status": "ok", "note": line.strip()}), flush=True)
    if line == "last\\n": sys.exit(4)
"""


def test_a_process_that_dies_costs_its_row_and_no_more(gpu: Any) -> None:
    """Whether within a row, or behind its answer."""
    measure = gpu["runner"].Runner(os.environ, rehearsal=True)
    measure._command = [sys.executable, "-c", CHILD]
    assert measure("a") == {"status": "ok", "note": "a"}
    assert measure("deadly") == {"status": "failed", "note": "exit status 3: no message"}
    assert measure("last") == {"status": "ok", "note": "last"}
    measure._process.wait()
    assert measure("b")["note"] == "b"

    # It dies unseen: the pipe breaks while it is told.
    measure("last")
    process = measure._process
    process.wait()
    process.poll = lambda: None
    assert measure("c") == {"status": "ok", "note": "c"}
    measure.close()


def test_a_run_is_taken_up_where_it_ended(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its minutes, or in the middle of a row; the file is whole at any time."""
    command, out = gpu["command"], tmp_path / "new folder" / "gpu.json"
    measured: list[str] = []

    class Runner:
        def __init__(self, environment: object, rehearsal: bool) -> None:
            pass

        def __call__(self, name: str, deadline: Any) -> dict[str, Any]:
            measured.append(name)
            if len(measured) == 2:
                raise KeyboardInterrupt
            return result(neurona=1.0, torch=2.0)

        def close(self) -> None:
            pass

    monkeypatch.setattr(gpu["machine"], "about", lambda: {"gpu": "G", "capability": "9.0"})
    monkeypatch.setattr(gpu["machine"], "build", lambda capability: None)
    monkeypatch.setattr(gpu["runner"], "Runner", Runner)
    names = ["copy_256MB", "gemm_8192_medium", "gemm_8192_highest"]

    def run(*more: str) -> int:
        words = ["bench.gpu", "--no-test", "--out", str(out), "--rows", *names, *more]
        monkeypatch.setattr(sys, "argv", words)
        return int(command.main())

    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(json.loads(out.read_text())["results"]) == measured[:1]
    assert run("--minutes", "0") == 1 and len(measured) == 2
    assert "stopped after 0 minutes" in capsys.readouterr().out
    assert run() == 0
    assert sorted(measured[2:]) == sorted(set(names) - {measured[0]})
    assert sorted(json.loads(out.read_text())["results"]) == sorted(names)
    assert [path.name for path in out.parent.iterdir()] == ["gpu.json"]


def test_what_the_machine_lacks_is_said_in_one_sentence(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = gpu["machine"]
    assert machine.architecture("9.0") == "90a-real"
    assert machine.architecture("12.0") == "120-real"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="no nvidia-smi"):
        machine.about()


def test_rows_that_goals_speak_of_come_first(gpu: Any) -> None:
    """Behind the copy; none is lost."""
    names = list(gpu["rows"].ROWS)
    ordered = gpu["goals"].in_order(names)
    assert sorted(ordered) == sorted(names)
    assert ordered[:2] == ["copy_256MB", "gemm_8192_medium"]
    patterns = [goal.rows for goal in gpu["goals"].GOALS]
    has_goal = [
        name == "copy_256MB" or any(re.fullmatch(pattern, name) for pattern in patterns)
        for name in ordered
    ]
    assert has_goal == sorted(has_goal, reverse=True)
