"""Each demo of `examples/` in its quick form: every claim holds, and its pictures are written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import neurona

EXAMPLES = Path(__file__).parents[1] / "examples"
DEMOS = sorted(
    path.stem for path in EXAMPLES.glob("*.py") if path.stem not in ("demo", "mnist_under_33")
)


def _run(name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _python(folder, str(EXAMPLES / f"{name}.py"), *options)


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No data beside what the wheel holds: the quick forms run offline, on any machine.
    # Another folder, so a relative PYTHONPATH would not lead to the package there.
    path = f"{Path(neurona.__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {
        **os.environ,
        "NEURONA_DATA": str(folder / "none"),
        "XDG_CACHE_HOME": str(folder / "none"),
        "PYTHONPATH": path,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment,
    )


@pytest.mark.parametrize("name", DEMOS)
def test_the_quick_form(name: str, tmp_path: Path) -> None:
    result = _run(name, tmp_path, "--quick", "--pictures", "shots")
    assert result.returncode == 0, result.stdout + result.stderr
    claims = re.findall(r"^  (ok |NOT) .+: expected .+, got .+$", result.stdout, re.MULTILINE)
    assert claims, result.stdout
    assert set(claims) == {"ok "}
    announced = re.findall(r"^  picture: (.+)$", result.stdout, re.MULTILINE)
    assert announced, result.stdout
    for picture in announced:
        assert (tmp_path / picture).stat().st_size > 1000, picture


def test_the_small_cnns_vote_on_the_bundled_digits(tmp_path: Path) -> None:
    result = _run("mnist_under_33", tmp_path, "--quick", "--results", "runs.jsonl")
    assert result.returncode == 0, result.stderr
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [run["seed"] for run in runs] == [1, 2]
    for run in runs:
        assert run["parameters"] == 330_410 < 600_000
        assert run["test_errors"] <= 18  # 5 % of 360; 5 and 5 were seen
    assert runs[0]["vote_errors_so_far"] == runs[0]["test_errors"]
    assert result.stdout.rstrip().endswith(
        f"2 voting: {runs[1]['vote_errors_so_far']} errors of 360 test digits"
    )


@pytest.mark.parametrize("name", ["lenet", "mnist_under_33"])
def test_without_mnist_the_full_form_says_where_it_looked(name: str, tmp_path: Path) -> None:
    # The folder that all users of a machine share may hold MNIST; the environment cannot move it.
    script = f"""
import runpy, sys
from pathlib import Path
from neurona.datasets import locate
locate._SYSTEM_FOLDER = Path("none")
sys.path.insert(0, {str(EXAMPLES)!r})
sys.argv = [{name!r}]
runpy.run_path({str(EXAMPLES / f"{name}.py")!r}, run_name="__main__")
"""
    result = _python(tmp_path, "-c", script)
    assert result.returncode != 0
    assert "set NEURONA_DATA" in result.stderr and "--quick" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "options", [["--hold-out", "-3"], ["--hold-out", "1400"], ["--seeds", "0"]]
)
def test_bad_options_of_the_vote(options: list[str], tmp_path: Path) -> None:
    result = _run("mnist_under_33", tmp_path, "--quick", *options)
    assert result.returncode == 2 and "error: --" in result.stderr


def test_a_claim_that_does_not_hold_ends_with_1(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("import demo\ndemo.main(lambda d: d.check('sum', 3, 4), 'wrong')\n")
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLES}:{os.environ.get('PYTHONPATH', '')}"}
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 1
    assert "NOT sum: expected 3, got 4" in result.stdout
    assert "1 of the demo's claims" in result.stderr
