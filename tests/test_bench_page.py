"""docs/performance.md holds the tables of the recorded runs, and their roofline can be drawn."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from neurona.cli import main

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
RUNS = {
    "zen-5": ("-sixth", "-fifth", "-fourth", "-third", "-second", ""),
    "cascade-lake": ("", "-second"),
}


@pytest.fixture(scope="module")
def page() -> Any:
    """bench/page.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("page", ROOT / "bench" / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documents(machine: str) -> list[dict[str, Any]]:
    files = [RESULTS / f"{machine}-2-cores{which}.json" for which in RUNS[machine]]
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("machine", RUNS)
def test_the_page_shows_the_recorded_runs(page: Any, machine: str) -> None:
    text = (ROOT / "docs" / "performance.md").read_text().splitlines()
    recorded = documents(machine)
    for line in (*page.summary(recorded), *page.table(recorded[0])):
        assert line in text


def test_a_row_that_loses_says_so(page: Any) -> None:
    ratio = {"median": 0.8, "q1": 0.75, "q3": 0.85, "verdict": "slower"}
    ours = {"median_ns": 2e6, "iqr_ns": 1e5, "share_of_peak": 0.5, "status": "ok"}
    records = [
        {"name": "row", "direction": "F", "peer": "neurona", **ours},
        {"name": "row", "direction": "F", "peer": "other", "ratio": ratio, "status": "ok"},
        {"name": "failed", "direction": "F", "peer": "neurona", "status": "wrong"},
        {"name": "failed", "direction": "F", "peer": "other", "status": "error"},
    ]
    lines = list(page.table({"results": records}))
    assert lines[2:] == [
        "| row F | 2.00 ms | 5% | 50% | 0.80 [0.75, 0.85] **loses** |",
        "| failed F | wrong | | | |",
    ]
    (line,) = list(page.summary([{"created": "2000-01-02T03:04:05", "results": records}]))[2:]
    assert line == "| 2000-01-02T03:04 | other | 0 | 0 | 1 | 0.80x |"


def test_the_roofline_is_drawn(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page.roofline(documents("cascade-lake")[0], tmp_path / "roof.svg")
    # One path per marker: more than the rows of convolutions alone.
    assert (tmp_path / "roof.svg").read_text().count("<use ") > 40


def test_the_command_draws_it_or_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "roof.svg"
    words = ["bench", "gemm_64", "--peers", "none", "--quick", "--roofline", str(picture)]
    assert main(words) == 0
    assert picture.read_text().count("<use ") >= 1
    picture.unlink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(words) == 2
    assert "needs matplotlib: pip install neurona[plot]" in capsys.readouterr().err
    assert not picture.exists()
