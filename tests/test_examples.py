"""Each demo of `examples/` in its quick form: every claim holds, and its pictures are written."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neurona
from neurona.safetensors import load_file

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
    assert [run["view"] for run in runs] == ["even", "plain"]
    assert [run["parameters"] for run in runs] == [330_410, 458_602]
    for run in runs:
        assert run["test_errors"] <= 25  # 7 % of 360; 13 and 14 were seen
    assert runs[0]["test_vote_errors_so_far"] == runs[0]["test_errors"]
    votes = runs[1]["test_vote_errors_so_far"]
    assert result.stdout.rstrip().endswith(f"2 voting: {votes} errors of 360 test digits")


def test_what_the_voters_see_and_are() -> None:
    script = runpy.run_path(str(EXAMPLES / "mnist_under_33.py"), run_name="script")
    sizes = {
        kind: sum(p.numel() for p in script["network"](kind).parameters())
        for kind in script["KINDS"]
    }
    assert sizes == {"pooled": 330_410, "strided": 458_602, "large": 540_970}
    assert len(script["VOTERS"]) == 5
    # A stroke of 20 x 4 pixels that leans by 0.3 and stands 3 pixels off the middle.
    y, x = np.mgrid[:28, :28] - 13.5
    stroke = np.clip(2.5 - abs(x - 3 + 0.3 * y), 0, 1) * (abs(y) <= 10)
    images = np.stack([stroke, np.zeros((28, 28))])[:, None].astype(np.float32)
    for name, view in script["VIEWS"].items():
        seen = view(images)
        assert seen.shape == images.shape and not seen[1].any()
        ink = script["moments"](seen)
        width = np.ptp(np.flatnonzero((seen[0, 0] > 0.3).any(axis=0))) + 1
        slant = float(ink.xy[0] / ink.yy[0])
        if name == "plain":
            assert slant < -0.2
        else:
            assert abs(slant) < 0.02 and abs(ink.x[0]) < 0.1
        assert {"plain": 9, "upright": 5, "even": 7}[name] == pytest.approx(width, abs=1)


def test_blanked_squares_and_averaged_weights() -> None:
    script = runpy.run_path(str(EXAMPLES / "mnist_under_33.py"), run_name="script")
    images = neurona.ones(50, 1, 28, 28)
    blanked = script["erased"](images, np.random.default_rng(0)).numpy()
    assert (blanked.sum(axis=(1, 2, 3)) == 28**2 - 36).all() and images.numpy().all()
    assert blanked[:, :, :2].all() and blanked[..., -2:].all()
    places = {tuple(np.argwhere(image == 0).mean(axis=0)) for image in blanked[:, 0]}
    assert len(places) > 40
    model, average = neurona.nn.Linear(1, 1, bias=False), script["Average"]()
    for step in range(1, 31):
        model.weight.data[...] = step
        average.step(model)
    average.load(model)
    # 10, three quarters of the way to 20, and then 9/13 of the way to 30.
    assert model.weight.item() == pytest.approx(17.5 + 12.5 * 9 / 13)


def test_one_network_trained_again(tmp_path: Path) -> None:
    options = ["--single", "1", "--epochs", "1", "--hold-out", "100", "--save", "nets"]
    result = _run("mnist_under_33", tmp_path, "--quick", *options)
    assert result.returncode == 0, result.stderr
    run = json.loads(result.stdout.splitlines()[-2])
    assert (run["kind"], run["parameters"], run["training_digits"]) == ("pooled", 330_410, 1337)
    assert "test_errors" not in run and 0 <= run["held_out_errors"] <= 100
    weights = load_file(tmp_path / "nets" / "pooled_1.safetensors")
    assert weights["0.weight"].shape == (32, 1, 3, 3)


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
    "options", [["--hold-out", "-3"], ["--hold-out", "1400"], ["--single", "0"], ["--epochs", "0"]]
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
