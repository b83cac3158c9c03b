"""The emulation of CUDA finds kernels that are wrong on purpose, and lets their right twins pass.

The kernels are those of tests/cuda/planted.cu. What a GPU leaves open (the order of threads and
blocks, the contents of fresh memory) is found by a wrong result under at least one schedule; what
it forbids is an error that names the kernel.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import emulated
from emulated import planted

X = np.arange(64, dtype=np.float32)
LANES = np.arange(64)


@pytest.fixture(params=emulated.SCHEDULES)
def device(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The module under each schedule."""
    planted().set_schedule(request.param, seed=1)
    yield planted()
    planted().set_schedule("forward")


# What the right twins compute.
RIGHT = {
    "read_before_barrier": X[::-1],
    "write_before_barrier": 3 * X[::-1] + 3,
    "write_ahead_of_readers": X[::-1],
    "divergent_barrier": X,
    "barrier_against_shuffle": X[LANES ^ 1],
    "warp_without_barrier": X[LANES ^ 31],
    "returned_lane": X[LANES ^ 1],
    "not_in_own_mask": X[LANES // 32 * 32 + 1],
    "reads_outside_mask": X[LANES ^ 1],
    "different_masks": X[LANES ^ 1],
    "different_places": np.where(LANES % 32 < 16, X[LANES ^ 16], X[LANES ^ 16 ^ 7]),
    "incomplete_warp": X[LANES ^ 1],
    "shared_unset": X[LANES ^ 1],
    "order_of_blocks": X,
    "copies_without_empty_groups": 3 * X,
    "copies_without_barrier": X[::-1],
    "copies_over_what_is_read": sum((X[::-1] + i) % 64 for i in range(3)),
    "copies_of_nothing": np.where(LANES % 2, 0, X),
    # Of 16 rows of 4, the even ones and then the odd ones.
    **dict.fromkeys(
        [
            "matrices_before_barrier", "matrices_of_odd_rows", "matrices_of_device",
            "matrices_of_some_lanes",
        ],
        X.reshape(8, 2, 4).swapaxes(0, 1).ravel(),
    ),
} | dict.fromkeys(
    [
        "beyond_shared", "before_shared", "beyond_dynamic", "too_much_shared", "beyond_device",
        "beyond_input", "device_unset", "launches", "too_many_threads", "too_deep_a_block",
        "too_high_a_grid", "too_much_dynamic", "copies_weak_wait", "copies_without_wait",
        "copies_never_awaited", "copies_of_no_group", "copies_to_odd_places",
        "copies_from_odd_places", "copies_to_device", "copies_from_shared", "copies_beyond_input",
        "zeros_from_nowhere", "ends_without_waiting", "reads_before_waiting",
        "global_store_to_shared", "global_load_of_shared",
    ],
    X,
)  # fmt: skip

# Wrong results, under at least one schedule.
WRONG = [
    "read_before_barrier",
    "write_before_barrier",
    "write_ahead_of_readers",
    "warp_without_barrier",
    "shared_unset",
    "device_unset",
    "order_of_blocks",
    "copies_weak_wait",
    "copies_without_empty_groups",
    "copies_without_wait",
    "copies_without_barrier",
    "copies_over_what_is_read",
    "copies_of_nothing",
    "matrices_before_barrier",
]
# Wrong results where nothing watches, and an end at once under AddressSanitizer.
READS_ASTRAY = ["before_shared", "beyond_input"]
# Errors, and an end at once under AddressSanitizer.
WRITES_ASTRAY = {
    "beyond_shared": "beyond_shared: wrote beyond the end of a shared array",
    "beyond_dynamic": "beyond_dynamic: wrote beyond the end of a shared array",
    "beyond_device": "beyond_device: wrote beyond the end of a device array",
}
SITE = r"{} at .*planted\.cu:\d+"
COPY, MATRICES = r"cp\.async at .*cp_async\.cuh:\d+", r"ldmatrix at .*ldmatrix\.cuh:\d+"
BARRIER, SHUFFLE = SITE.format("__syncthreads"), SITE.format("__shfl_xor_sync")
ERRORS = {
    "divergent_barrier": "threads of one block wait at different barriers, "
    f"from thread 0: {BARRIER}; from thread 32: {BARRIER}",
    "barrier_against_shuffle": f"waits for ever, .*from thread 40: {BARRIER}; "
    f"from thread 41: {SHUFFLE} with mask 0xffffffff",
    # Which is met first is a matter of the schedule.
    "returned_lane": f"the mask names a lane that has returned, {SHUFFLE}; thread|waits for ever",
    "not_in_own_mask": f"a lane is not in its own mask, {SITE.format('__shfl_sync')}; "
    r"thread (0|32) of block \(0, 0, 0\)",
    "reads_outside_mask": f"a lane reads one that is not in the mask, {SHUFFLE}",
    "different_masks": f"waits for ever, from thread 0: {BARRIER}; "
    f"from thread 16: {SHUFFLE} with mask 0xffffffff",
    "different_places": f"waits for ever, from thread 0: {SHUFFLE} with mask 0xffffffff; "
    f"from thread 16: {SHUFFLE}",
    "incomplete_warp": "the mask names a lane that the block does not have",
    "too_much_shared": "declares more shared memory than a block has",
    "too_many_threads": "a block has 1 to 1024 threads, .* got 1025 x 1 x 1",
    "too_deep_a_block": "64 at most along z, got 1 x 1 x 65",
    "too_high_a_grid": "2147483647 x 65535 x 65535 blocks, got 1 x 1 x 65536",
    "too_much_dynamic": "101376 bytes of shared memory at most, got 101377",
    "copies_never_awaited": "a thread ends before its cp.async have arrived",
    "copies_of_no_group": "a thread ends before its cp.async have arrived",
    "copies_to_odd_places": f"the address in shared memory is not aligned, {COPY}",
    "copies_from_odd_places": f"the source is not aligned, {COPY}",
    "copies_to_device": f"the address is not in shared memory, {COPY}",
    "copies_from_shared": f"the source does not lie in an array of the device, {COPY}",
    "copies_beyond_input": f"the source does not lie in an array of the device, {COPY}",
    "zeros_from_nowhere": f"the source does not lie in an array of the device, {COPY}",
    "ends_without_waiting": "every thread must wait for earlier kernels once",
    "matrices_of_odd_rows": "the address in shared memory is not aligned, "
    f"{MATRICES}; thread (9|41) of",
    "matrices_of_device": f"the address is not in shared memory, {MATRICES}",
    "global_store_to_shared": "the address is in shared memory, "
    r"__stwb at .*planted_copies\.cuh:\d+",
    "global_load_of_shared": "the address is in shared memory, "
    r"__ldcg at .*planted_copies\.cuh:\d+",
    "matrices_of_some_lanes": f"the mask names a lane that has returned, {MATRICES}; thread"
    "|waits for ever",
}


@pytest.mark.parametrize("kernel", RIGHT)
def test_right_kernels_pass(device: ModuleType, kernel: str) -> None:
    """Nothing is found where there is nothing."""
    np.testing.assert_array_equal(device.run(kernel, False), RIGHT[kernel])


@pytest.mark.parametrize("kernel", WRONG)
def test_wrong_results_show_under_a_schedule(kernel: str) -> None:
    """At least one of the three."""
    shown = []
    for schedule in emulated.SCHEDULES:
        planted().set_schedule(schedule, seed=1)
        shown.append(not np.array_equal(planted().run(kernel, True), RIGHT[kernel]))
    planted().set_schedule("forward")
    assert any(shown)


@pytest.mark.parametrize(
    "kernel",
    [
        "shared_unset", "device_unset", "copies_weak_wait", "copies_without_empty_groups",
        "copies_without_wait", "copies_of_nothing",
    ],
)  # fmt: skip
def test_unset_memory_is_nan(device: ModuleType, kernel: str) -> None:
    """Shared memory, also where a copy has not arrived, and the device's, under every schedule."""
    assert np.isnan(device.run(kernel, True)).any()


@pytest.mark.parametrize("kernel", ERRORS)
def test_what_cuda_forbids_is_an_error(device: ModuleType, kernel: str) -> None:
    """It names the kernel and, where threads wait, the places; the next launch is right again."""
    with pytest.raises(RuntimeError, match=f"^{kernel}: .*({ERRORS[kernel]})"):
        device.run(kernel, True)
    np.testing.assert_array_equal(device.run(kernel, False), RIGHT[kernel])


@pytest.mark.parametrize("kernel", WRITES_ASTRAY)
def test_writes_beyond_an_array_are_errors(device: ModuleType, kernel: str) -> None:
    """At the end of the kernel, once."""
    if device.sanitized:
        return check_end(f"run('{kernel}', True)", "use-after-poison|out of bounds")
    with pytest.raises(RuntimeError, match=f"^{WRITES_ASTRAY[kernel]}$"):
        device.run(kernel, True)
    np.testing.assert_array_equal(device.run(kernel, False), RIGHT[kernel])


@pytest.mark.parametrize("kernel", READS_ASTRAY)
def test_reads_beyond_an_array_are_nan(device: ModuleType, kernel: str) -> None:
    """So that they show in the result."""
    if device.sanitized:
        return check_end(f"run('{kernel}', True)", "use-after-poison|out of bounds")
    assert np.isnan(device.run(kernel, True)).any()


def test_arguments_must_lie_on_the_device() -> None:
    """Also inside structures: a GPU could not follow such a pointer."""
    planted().give_pointer("of_device")
    with pytest.raises(RuntimeError, match="follow: an argument holds a pointer to the host's"):
        planted().give_pointer("to_host")
    with pytest.raises(RuntimeError, match="follow: an argument holds a pointer into no array"):
        planted().give_pointer("freed")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("too_long", "copy_to_device: the bytes are not all in one device array"),
        ("to_host", "copy_to_device: the bytes are not all in one device array"),
        ("from_host", "copy_to_host: the bytes are not all in one device array"),
        ("between", "fill_on_device: the bytes are not all in one device array"),
    ],
)
def test_copies_must_fit(kind: str, message: str) -> None:
    """Both ends are checked before anything moves."""
    with pytest.raises(RuntimeError, match=message):
        planted().copy_wrongly(kind)


def test_buffers_taken_too_early_show() -> None:
    """Copies are done as late as somebody needs them: a ring that does not wait is found."""
    count = planted().kCopies
    everything = np.arange(count * count, dtype=np.float32)
    for kind in ("send", "fetch"):
        np.testing.assert_array_equal(planted().stage(kind), everything)
        assert not np.array_equal(planted().stage_hastily(kind), everything)
    rows = np.array(planted().stage("grow")).reshape(count, count)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row[: i + 1], i * count + np.arange(i + 1))
        assert np.isnan(row[i + 1 :]).all()  # nothing was sent there
    with pytest.raises(RuntimeError, match="freed while it is being copied"):
        planted().stage_hastily("grow")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wait", "synchronize: cannot be part of a captured step"),
        ("to_host", "copy_to_host: cannot be part of a captured step"),
        ("from_host", "copy_to_device: cannot be part of a captured step"),
        ("again", "a step is being captured already"),
    ],
)
def test_a_graph_cannot_wait_or_read_the_host(kind: str, message: str) -> None:
    """And a capture that failed leaves nothing behind."""
    for _ in range(2):
        with pytest.raises(RuntimeError, match=message):
            planted().capture_wrongly(kind)
    planted().capture_wrongly("nothing")


def test_launches_of_a_graph() -> None:
    """Each begins with memory that nobody has set, and finds what was freed meanwhile."""
    assert planted().launch_twice(False) == 2
    assert np.isnan(planted().launch_twice(True))
    with pytest.raises(RuntimeError, match="add_one: an argument holds a pointer into no array"):
        planted().launch_with_freed_memory()
    assert planted().memory_in_use() == 0


def end_of(call: str) -> subprocess.CompletedProcess[str]:
    """Runs a call in a process of its own, which it should end."""
    folder = str(Path(str(planted().__file__)).parent)
    program = f"import emulated; emulated.load('neurona_cuda_planted').{call}"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), emulated.FOLDER: folder},
        capture_output=True,
        text=True,
    )


def check_end(call: str, message: str) -> None:
    done = end_of(call)
    assert done.returncode != 0
    assert re.search(message, done.stderr)


@pytest.mark.parametrize(
    "call", ["read_on_host()", "ask_position_on_host()", "run('reads_before_waiting', True)"]
)
def test_the_devices_memory_is_closed(call: str) -> None:
    """To the host, and to a kernel that has not waited for earlier ones: a segmentation fault, as
    with a GPU's memory.
    """
    done = end_of(call)
    assert done.returncode == -signal.SIGSEGV or planted().sanitized
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("free_twice()", "freed what was not allocated"),
        ("run('launches', True)", "a kernel launches inner"),
    ],
)
def test_misuse_without_a_way_back_ends_the_process(call: str, message: str) -> None:
    """And says why."""
    check_end(call, message)


def test_host_threads_take_turns() -> None:
    """Launches from several threads at once, some of which fail."""

    def launch(i: int) -> bool:
        if i % 5 == 0:
            with pytest.raises(RuntimeError, match="^divergent_barrier"):
                planted().run("divergent_barrier", True)
        return bool(np.array_equal(planted().run("write_before_barrier", False), 3 * X[::-1] + 3))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(launch, range(100)))


def test_shuffled_schedules_depend_on_their_seed() -> None:
    """The same seed gives the same order; another one gives another."""

    def results(seed: int) -> Callable[[], bytes]:
        planted().set_schedule("shuffled", seed=seed)
        return np.array(planted().run("order_of_blocks", True)).tobytes()

    first, second = results(1), results(2)
    assert first == results(1)
    assert first != second
    planted().set_schedule("forward")


def test_unknown_schedules_are_refused() -> None:
    """By name."""
    with pytest.raises(ValueError, match="order must be 'forward', 'reverse' or 'shuffled'"):
        planted().set_schedule("sideways")
