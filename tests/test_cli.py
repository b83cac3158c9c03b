"""The command line: results on stdout, exit codes, interrupts, resuming."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurona.backends import cpu
from neurona.cli import main
from neurona.datasets import digits
from neurona.safetensors import load_file, load_with_metadata

SMALL = ["train", "iris", "--model", "mlp64", "--epochs", "3", "--batch-size", "16"]


def run(*words: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "neurona", *words],
        input=stdin,
        capture_output=True,
        env={**os.environ, **env},
        timeout=120,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run."""
    folder = tmp_path_factory.mktemp("run")
    options = ["--lr", "0.05", "--epochs", "20", "--validation", "0.1"]
    assert main([*SMALL, *options, "--out", str(folder), "-q"]) == 0
    return folder


def test_train_writes_its_files(trained: Path) -> None:
    assert sorted(os.listdir(trained)) == [
        "best.safetensors",
        "config.json",
        "history.csv",
        "last.safetensors",
    ]
    weights, metadata = load_with_metadata(trained / "best.safetensors")
    assert len(weights) == 8 and json.loads(metadata["arch"])["model"] == "mlp64"
    assert len((trained / "history.csv").read_text().splitlines()) == 21
    assert json.loads((trained / "config.json").read_text())["lr"] == 0.05


def test_train_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--out", str(tmp_path / "r"), "--json"]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["schema"] == 1 and result["command"] == "train"
    assert set(result["test"]) == {"loss", "accuracy"}
    assert len(result["history"]["accuracy"]) == 3 and "val_accuracy" not in result["history"]
    assert len(output.err.splitlines()) == 4  # one line to begin with, one per epoch


def test_same_seed_same_bits(tmp_path: Path) -> None:
    for name in "ab":
        assert main([*SMALL, "--seed", "5", "--out", str(tmp_path / name), "-q"]) == 0
    a, b = (load_file(tmp_path / name / "last.safetensors") for name in "ab")
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_eval_and_its_gate(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(trained / "best.safetensors")
    assert main(["eval", path, "--json", "--min-accuracy", "0.8"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] >= 0.8 and result["samples"] == 30
    assert np.trace(result["confusion_matrix"]) == round(result["accuracy"] * 30)
    assert main(["eval", path, "--data", "digits"]) == 2
    assert "the model takes (4,) and 3" in capsys.readouterr().err


def test_a_missed_gate_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--epochs", "0", "--out", str(tmp_path), "-q"]) == 0
    assert main(["eval", str(tmp_path / "last.safetensors"), "--min-accuracy", "0.99", "-q"]) == 4
    assert "is below --min-accuracy 0.99" in capsys.readouterr().err


def test_predict(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(trained / "best.safetensors")
    flowers = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    np.save(tmp_path / "x.npy", flowers)
    assert main(["predict", path, str(tmp_path / "x.npy"), "--topk", "2", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0\tsetosa ") and lines[1].startswith("1\tvirginica ")
    buffer = io.BytesIO()
    np.save(buffer, flowers.astype(np.float32)[0])
    done = run("predict", path, "-", "--json", stdin=buffer.getvalue())
    prediction = json.loads(done.stdout)["predictions"]
    assert prediction[0]["classes"] == ["setosa"]
    assert main(["predict", path, str(tmp_path / "missing.npy"), "-q"]) == 3
    np.save(tmp_path / "bad.npy", flowers[:, :3])
    assert main(["predict", path, str(tmp_path / "bad.npy"), "-q"]) == 2
    assert "inputs must have shape (N, 4), got (2, 3)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04N.", "not a .npy file"),
        (b"", "not a .npy file"),
        ("objects", "pickle is never loaded"),
        ("truncated", "needs 64 bytes of data, 60 follow"),
        ("text", "dtype must be float or integer"),
    ],
)
def test_predict_refuses_bad_inputs(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str
) -> None:
    buffer = io.BytesIO()
    if content == "objects":
        np.save(buffer, np.array([{}]), allow_pickle=True)
    elif content == "text":
        np.save(buffer, np.array(["a"]))
    elif content == "truncated":
        np.save(buffer, np.zeros((2, 4)))
    else:
        buffer.write(content)
    end = -4 if content == "truncated" else None
    (tmp_path / "x.npy").write_bytes(buffer.getvalue()[:end])
    path = str(trained / "best.safetensors")
    assert main(["predict", path, str(tmp_path / "x.npy"), "-q"]) == 3
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_integer_images_are_scaled_like_the_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    words = ["train", "digits", "--model", "mlp64", "--epochs", "2", "--limit", "300"]
    assert main([*words, "--out", str(out), "-q"]) == 0
    images = digits().test[0][:5]
    np.save(tmp_path / "f.npy", images)
    np.save(tmp_path / "i.npy", (images[:, 0] * 16).astype(np.uint8))
    results = []
    for name in "fi":
        capsys.readouterr()
        best = str(out / "best.safetensors")
        assert main(["predict", best, str(tmp_path / f"{name}.npy"), "--json", "-q"]) == 0
        results.append(json.loads(capsys.readouterr().out)["predictions"])
    assert results[0] == results[1] and len(results[0]) == 5


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == 1 and facts["versions"]["numpy"] == np.__version__
    assert facts["processor"]["isa"] in facts["processor"]["isas"]
    assert facts["threads"]["used"] >= 1 and facts["threads"]["reason"]
    assert facts["compiler"].startswith(("GCC ", "Clang "))
    assert main(["info"]) == 0
    assert "threads: " in capsys.readouterr().out


def test_caches_are_those_that_linux_gives() -> None:
    caches = Path("/sys/devices/system/cpu/cpu0/cache")
    if not caches.is_dir():
        pytest.skip("the system does not say")
    found = {"l1d": 0, "l2": 0, "l3": 0}
    for index in caches.glob("index*"):
        level = "l" + (index / "level").read_text().strip()
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            found[level if level != "l1" else "l1d"] = int(size.rstrip("K")) << 10
    info = cpu.cpu_info()
    assert {level: info[level] for level, size in found.items() if size} == {
        level: size for level, size in found.items() if size
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "usage"),
        (["nope"], 2, "invalid choice"),
        (["train"], 2, "DATASET must be given"),
        (["train", "minst"], 2, "did you mean 'mnist'"),
        (["train", "iris", "--model", "lenet"], 2, "did you mean 'lenet5'"),
        (["train", "iris", "--model", "lenet5"], 2, "input_shape must be (C, S, S), got (4,)"),
        (["train", "iris", "--epochs", "-1"], 2, "must be an integer >= 0, got '-1'"),
        (["train", "iris", "--lr", "nan"], 2, "must be a finite number >= 0, got 'nan'"),
        (["train", "mnist", "--epochs", "1"], 3, "mnist: not found in"),
        (["train", "--resume", "missing"], 3, "missing"),
        (["eval", "missing.safetensors"], 3, "missing.safetensors: No such file"),
        (["eval", "broken.safetensors"], 3, "broken.safetensors: offset 0"),
        (["eval", "model.pt"], 3, "pickle is never loaded; save as safetensors"),
        (["eval", "."], 3, "is a folder"),
        (["--version"], 0, ""),
        (["--help"], 0, ""),
    ],
)
def test_exit_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEURONA_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Path("broken.safetensors").write_bytes(b"abc")
    Path("model.pt").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    assert main(words) == code
    output = capsys.readouterr()
    assert message in output.err and "Traceback" not in output.err
    if code:
        assert output.out == ""


def test_divergence_is_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--lr", "1e30", "--out", str(tmp_path), "-q"]) == 5
    assert "loss became nan or infinite in epoch 1" in capsys.readouterr().err
    for name, array in load_file(tmp_path / "last.safetensors").items():
        assert np.isfinite(array).all(), name


def test_closed_output_is_no_traceback() -> None:
    script = f"{sys.executable} -m neurona info | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A long training run, stopped by the test once the first epochs are over."""
    command = [
        sys.executable,
        "-m",
        "neurona",
        "train",
        "digits",
        "--model",
        "mlp64",
        "--epochs",
        "30",
        "--batch-size",
        "8",
        "--out",
        str(folder),
        *words,
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for_epoch(process: subprocess.Popen[str], epoch: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"epoch {epoch}/"):
            return
    raise AssertionError("the run ended too early")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    with start(folder, "-q") as process:
        assert process.wait(120) == 0
    return load_file(folder / "last.safetensors")


def assert_same_bits(folder: Path, expected: dict[str, np.ndarray]) -> None:
    found = load_file(folder / "last.safetensors")
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_prints_how_to_resume(
    tmp_path: Path, undisturbed: dict[str, np.ndarray], number: signal.Signals
) -> None:
    with start(tmp_path) as process:
        wait_for_epoch(process, 2)
        process.send_signal(number)
        assert process.stderr is not None
        error = process.stderr.read()
        assert process.wait(30) == 128 + number
    assert "Traceback" not in error
    command = error.splitlines()[-1].split()
    assert command[:3] == ["neurona", "train", "--resume"]
    done = run(*command[1:], "-q")
    assert done.returncode == 0 and done.stdout.startswith("test accuracy 0.")
    assert_same_bits(tmp_path, undisturbed)


def test_kill_at_any_moment_then_resume(tmp_path: Path, undisturbed: dict[str, np.ndarray]) -> None:
    """Killed again and again, resumed each time: the end is that of a run never stopped."""
    rng = random.Random(0)
    words: list[str] = []
    for _ in range(6):
        with start(tmp_path, *words) as process:
            wait_for_epoch(process, 1 if not words else _next_epoch(tmp_path))
            time.sleep(rng.random() * 0.1)
            process.kill()
        load_with_metadata(tmp_path / "last.safetensors")
        words = ["--resume"]
    done = run("train", "--resume", str(tmp_path), "-q")
    assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path, undisturbed)


def _next_epoch(folder: Path) -> int:
    metadata = load_with_metadata(folder / "last.safetensors")[1]
    return int(json.loads(metadata["neurona_state"])["progress"]["epoch"]) + 1


def test_a_resumed_run_cannot_change_its_options(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", str(trained), "--lr", "0.5", "-q"]) == 2
    assert "--lr must be 0.05" in capsys.readouterr().err


def test_epochs_can_be_added_at_a_constant_rate(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*SMALL, "--epochs", "6", "--out", str(whole), "-q"]) == 0
    assert main([*SMALL, "--out", str(parts), "-q"]) == 0
    assert main(["train", "--resume", str(parts), "--epochs", "6", "-q"]) == 0
    a, b = (load_file(folder / "last.safetensors") for folder in (whole, parts))
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
