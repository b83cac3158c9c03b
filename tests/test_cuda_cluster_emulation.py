"""The emulation of clusters finds each fault planted in blocks that load tiles for each other.

The kernel is that of tests/cuda/planted_clusters.cu. A block is as far ahead of the other one as
barriers allow, and bytes come to each of them when nothing can go on without them, one part after
the other: what nobody waits for is NaN, and what can be told from the outside is an error that
names the instruction and its place.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import emulated
import harness
from emulated import planted

CLUSTERS, BLOCKS, LINES = 2, 2, 64
# Both stages of the ring three times, and once.
DEPTHS = (160, 64)

RIGHT = ("none", "announces_late", "declares_more", "loader_returns")

SITE = r"{} at .*planted_clusters\.cu:\d+"
LOAD, ARRIVE_AT = SITE.format("cp.async.bulk.tensor.multicast"), SITE.format("mbarrier.arrive.*")
WAIT, BARRIER = SITE.format("mbarrier.try_wait"), SITE.format("barrier.cluster")
THREAD = r"thread \d+ of block \({}, 0, 0\)"
FIRST, SECOND = THREAD.format("[02]"), THREAD.format("[13]")
OVERTAKEN = "the phase of an mbarrier ends while bytes of another block are under way: they were "
OVERTAKEN += f"sent too early, or fewer were announced, {LOAD}"
# In either block the warp that loads has come to the last barrier, and the others wait for bytes.
FOR_EVER = f"the cluster waits for ever, block 0 from thread 0: {BARRIER}; from thread 32: {WAIT}"
MISSES = r"; phase \d of the mbarrier of .*planted_clusters\.cu:\d+ misses {}"
NO_PART = MISSES.format("0 arrivals and 4096 bytes")
NO_STEP = MISSES.format("1 arrivals and the announcement of 4096 bytes")
MORE = "more bytes come than were announced to the mbarrier"

# What comes of the longer sum and of the shorter one, which uses each stage once, so that what
# happens when a stage is used again is no fault there.
FAULTS = {
    "grid_no_multiple": ("a grid of 3 blocks along x is no multiple of clusters of 2",) * 2,
    "too_many_blocks": ("a cluster has 1 to 8 blocks, got 9",) * 2,
    "no_blocks": ("a cluster has 1 to 8 blocks, got 0",) * 2,
    "no_first_barrier": (
        f"block 1 of the cluster has not initialised the mbarrier, .*, {LOAD}; {FIRST}|"
        f"block 0 of the cluster has not initialised the mbarrier, .*, {LOAD}; {SECOND}",
    )
    * 2,
    "no_last_barrier": (
        f"block 1 of the cluster has ended, {ARRIVE_AT}; {FIRST}|"
        f"block 0 of the cluster has ended, {ARRIVE_AT}; {SECOND}",
    )
    * 2,
    # Which is met first is a matter of the schedule.
    "half_a_warp": (f"the mask names a lane that has returned, {BARRIER}|.* waits for ever",) * 2,
    "different_places": (
        "threads of one cluster wait at different barriers, "
        f"block 0 from thread 0: {BARRIER}; block 1 from thread 0: {BARRIER}",
    )
    * 2,
    "peer_returns": (
        f"block 1 of the cluster has ended, {LOAD}; {FIRST}|"
        f"block 1 of the cluster ended before a transfer, {LOAD}",
    )
    * 2,
    "own_arrivals_only": (f"{OVERTAKEN}|wrong", "right"),
    "rank_beyond": (f"block 2 of the cluster does not exist, {ARRIVE_AT}; thread",) * 2,
    "set_empty": (f"the set of blocks is empty, {LOAD}; thread",) * 2,
    "set_beyond": (f"block 2 of the cluster does not exist, {LOAD}; thread",) * 2,
    "step_not_announced": (f"{FOR_EVER}.*; block 1 .*{NO_STEP}",) * 2,
    "part_missing": (f"{FOR_EVER}{NO_PART}; block 1 .*{NO_PART}",) * 2,
    "part_twice": (f"{OVERTAKEN}|{MORE}|.* fewer were announced",) * 2,
    "not_published": (f"no fence made the mbarrier's initialisation known .*, {LOAD}",) * 2,
    "fewer_bytes": (f"{OVERTAKEN}|{MORE}|.* fewer were announced",) * 2,
    # Those that came before are too many when the last arrival announces fewer.
    "fewer_bytes_late": (f"{MORE}, {SITE.format('mbarrier.arrive')}; {SECOND}",) * 2,
    "more_bytes": (f"the cluster waits for ever.*{MISSES.format('0 arrivals and 16 bytes')}",) * 2,
}
# A write that is found, and an access that ends the process.
ASTRAY = ("beyond_shared", "reads_before_waiting")


@pytest.fixture(params=emulated.SCHEDULES)
def device(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """One with clusters, under each schedule."""
    planted().set_schedule(request.param, seed=1)
    planted().set_capability(90)
    yield planted()
    planted().set_capability(80)
    planted().set_schedule("forward")


def outcome(device: ModuleType, fault: str, depth: int) -> str:
    """ "right", "wrong", or what the error says."""
    x = harness.integers(harness.rng_of(depth), (CLUSTERS, LINES, depth))
    try:
        y = np.array(device.run_clusters(fault, x.ravel()), np.float32)
    except RuntimeError as error:
        return str(error)
    expected = np.repeat(x.sum(axis=-1), BLOCKS, axis=0)
    return "right" if np.array_equal(y, expected.ravel()) else "wrong"


def test_every_fault_is_listed() -> None:
    """None is planted and not looked for."""
    assert set(planted().cluster_faults()) == {*RIGHT, *FAULTS, *ASTRAY}


@pytest.mark.parametrize("depth", [*DEPTHS, 4, 36])
@pytest.mark.parametrize("kernel", RIGHT)
def test_right_kernels_pass(device: ModuleType, kernel: str, depth: int) -> None:
    """Also where bytes come before they are announced, blocks declare arrays in another order, a
    warp returns before the last barrier, or the last step is not a whole one.
    """
    assert outcome(device, kernel, depth) == "right"


@pytest.mark.parametrize("seed", range(20))
def test_right_kernels_pass_in_any_order(seed: int) -> None:
    """Of the blocks' threads and the bytes that they wait for."""
    planted().set_capability(90)
    planted().set_schedule("shuffled", seed=seed)
    found = [outcome(planted(), kernel, DEPTHS[0]) for kernel in RIGHT]
    planted().set_schedule("forward")
    planted().set_capability(80)
    assert found == ["right"] * len(RIGHT)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(device: ModuleType, fault: str, depth: int) -> None:
    """By an error or a wrong result; the next launch is right again."""
    expected = FAULTS[fault][DEPTHS.index(depth)]
    found = outcome(device, fault, depth)
    assert re.search(f"^({fault}: )?({expected})", found), found
    assert outcome(device, "none", depth) == "right"


def test_devices_without_clusters_refuse_them() -> None:
    """Those before sm_90."""
    assert outcome(planted(), "none", DEPTHS[0]) == "none: devices of sm_80 have no clusters"


def end_of(call: str, schedule: str) -> subprocess.CompletedProcess[str]:
    """Runs a call in a process of its own, which it should end."""
    program = (
        "import emulated; planted = emulated.load('neurona_cuda_planted'); "
        f"planted.set_capability(90); planted.set_schedule('{schedule}', seed=1); planted.{call}"
    )
    folder = str(Path(str(planted().__file__)).parent)
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), emulated.FOLDER: folder},
        capture_output=True,
        text=True,
    )


ZEROS = f"[0.0] * {CLUSTERS * LINES * DEPTHS[0]}"


@pytest.mark.parametrize("schedule", emulated.SCHEDULES)
def test_the_devices_memory_is_closed(schedule: str) -> None:
    """Until every block of the first cluster has waited for earlier kernels, whichever is first."""
    done = end_of(f"run_clusters('reads_before_waiting', {ZEROS})", schedule)
    assert done.returncode == -signal.SIGSEGV or planted().sanitized
    assert done.returncode != 0


def test_writes_beyond_shared_memory_are_errors(device: ModuleType) -> None:
    """Of any block of a cluster."""
    if device.sanitized:
        done = end_of(f"run_clusters('beyond_shared', {ZEROS})", "forward")
        assert re.search("use-after-poison", done.stderr)
        return
    message = "beyond_shared: wrote beyond the end of a shared array"
    assert outcome(device, "beyond_shared", DEPTHS[0]) == message
