"""Threads, instruction sets, memory and process behaviour of the compiled core."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import neurona
from neurona import _core, kernels

CODE = "import neurona; print(neurona.get_num_threads())"


@pytest.fixture(autouse=True)
def restore_threads():
    threads = _core.num_threads()
    yield
    _core.set_num_threads(threads)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def big_product() -> np.ndarray:
    """Large enough for several threads."""
    a = np.arange(300 * 300, dtype=np.float32).reshape(300, 300) % 7
    return kernels.gemm(a, a)


@pytest.mark.parametrize("threads", [1, 3])
def test_denormals_are_kept_or_flushed_inside_ops_only(threads: int) -> None:
    _core.set_num_threads(threads)
    tiny, zero = np.full(300_000, 1e-39, np.float32), np.zeros(300_000, np.float32)
    assert (kernels.add(tiny, zero) == tiny).all()
    try:
        assert neurona.set_flush_denormal(True)
        flushed = kernels.add(tiny, zero)
        assert (tiny + zero == tiny).all()
    finally:
        neurona.set_flush_denormal(False)
    assert (flushed == 0).all()
    assert (kernels.add(tiny, zero) == tiny).all()


def test_number_of_threads_comes_from_the_environment() -> None:
    assert run_python(CODE, NEURONA_NUM_THREADS="3", OMP_NUM_THREADS="5").stdout == "3\n"
    assert run_python(CODE, NEURONA_NUM_THREADS="", OMP_NUM_THREADS="5").stdout == "5\n"


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "100000"])
def test_a_wrong_number_of_threads_is_named(text: str) -> None:
    result = run_python(CODE, NEURONA_NUM_THREADS=text)
    assert result.returncode == 1
    assert f"NEURONA_NUM_THREADS must be a whole number between 1 and 1024, got '{text}'" in (
        result.stderr
    )


@pytest.mark.parametrize("n", [0, -1, 1025, 10**9, 2**63, 2**70])
def test_set_num_threads_checks_its_range(n: int) -> None:
    with pytest.raises(ValueError, match="set_num_threads: n must"):
        _core.set_num_threads(n)


@pytest.mark.parametrize("n", [1.5, "2", True, None])
def test_set_num_threads_wants_an_int(n: object) -> None:
    with pytest.raises(TypeError, match="set_num_threads: n must be an int"):
        _core.set_num_threads(n)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_the_instruction_set_can_be_forced(isa: str) -> None:
    result = run_python("from neurona import _core; print(_core.isa())", NEURONA_ISA=isa)
    assert result.stdout == f"{isa}\n"


def test_an_unknown_instruction_set_is_an_error_not_a_crash() -> None:
    result = run_python("import neurona", NEURONA_ISA="mmx")
    assert result.returncode == 1
    assert "NEURONA_ISA: 'mmx' is not available on this processor; available: baseline" in (
        result.stderr
    )


def child(queue) -> None:
    queue.put(big_product().tobytes())


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("threads", [2, 4])
def test_a_forked_child_computes_with_a_pool_of_its_own(threads: int) -> None:
    _core.set_num_threads(threads)
    expected = big_product().tobytes()
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        queue = context.SimpleQueue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        assert queue.get() == expected
        process.join(20)
        assert process.exitcode == 0
    assert big_product().tobytes() == expected


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_each_item_of_each_job_runs_once(threads: int) -> None:
    # Of a pool that lets late workers into the next job, some 6 of a million jobs go wrong.
    _core.set_num_threads(threads)
    assert _core.count_wrong_jobs(3_000_000 // threads) == 0
    with pytest.raises(ValueError, match="count_wrong_jobs: jobs must not be negative, got -1"):
        _core.count_wrong_jobs(-1)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_each_piece_of_each_board_runs_once_and_in_order(threads: int) -> None:
    _core.set_num_threads(threads)
    assert _core.count_wrong_boards(200_000 // threads) == 0
    with pytest.raises(ValueError, match="count_wrong_boards: boards must not be negative, got -1"):
        _core.count_wrong_boards(-1)


def test_python_threads_may_call_kernels_at_once() -> None:
    _core.set_num_threads(3)
    expected = big_product().tobytes()
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(20):
            if big_product().tobytes() != expected:
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_the_interpreter_ends_with_live_workers() -> None:
    code = (
        "import numpy as np, neurona; neurona.set_num_threads(4);"
        "a = np.ones((400, 400), np.float32); neurona.kernels.gemm(a, a)"
    )
    assert run_python(code).returncode == 0


def test_an_output_that_cannot_exist_is_a_memory_error() -> None:
    x = np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(MemoryError, match="cannot allocate"):
        kernels.conv2d_forward(x, x, padding=2**21)
    assert kernels.conv2d_forward(x, x).item() == 1.0


def test_freed_blocks_are_reused_and_given_back() -> None:
    _core.empty_cache()
    before = _core.memory_statistics()
    array = _core.empty([1 << 20])
    assert _core.memory_statistics()["in_use"] >= before["in_use"] + 4 * (1 << 20)
    address = array.ctypes.data
    assert address % 64 == 0
    del array
    assert _core.memory_statistics()["cached"] >= 4 * (1 << 20)
    assert _core.empty([1 << 20]).ctypes.data == address
    _core.empty_cache()
    assert _core.memory_statistics()["cached"] == 0


def test_import_leaves_denormals_alone() -> None:
    code = "import numpy as np, neurona; print(np.float32(1e-40) * np.float32(1) != 0)"
    assert run_python(code).stdout == "True\n"


def test_the_probes_measure_something() -> None:
    assert 1e8 < _core.measure_fma_peak(0.01, 1) < 1e13
    assert 1e8 < _core.measure_fma_peak(0.01, 1, sustained=True) < 1e13
    assert _core.measure_fma_peak(1e-12, 2) > 0  # one round at least
    assert 1e7 < _core.measure_bandwidth(8, 1) < 1e13
    with pytest.raises(ValueError, match="measure_fma_peak: threads must be between 1 and 1024"):
        _core.measure_fma_peak(0.01, 0)
