"""The emulation of TMA, mbarriers and wgmma finds each fault planted in small products of tiles.

The kernels are those of tests/cuda/planted_hopper.cu and planted_patches.cu. Transfers and products
are as late as may be, so that whoever does not wait for them finds NaN, under every schedule but
for one fault; what can be told from the outside is an error that names the instruction and its
place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import emulated
import harness
from emulated import planted

ROWS, COLUMNS = 64, 128
# Both stages of the ring three times, and once.
DEPTHS = (320, 128)

SITE = r"{} at .*planted_hopper\.cu:\d+"
LOAD, ARRIVE = SITE.format("cp.async.bulk.tensor"), SITE.format("mbarrier.arrive")
WAIT, MULTIPLY = SITE.format("mbarrier.try_wait"), SITE.format("wgmma.mma_async")
ENDED = f"the block ended before a transfer, {LOAD}"
TOO_MANY = f"one arrival too many in a phase of an mbarrier, {ARRIVE}"
FOR_EVER = f"the block waits for ever, from thread 0: {WAIT}; from thread 128: "
ALONE = f"the block waits for ever, from thread 128: {WAIT}"

# What comes of the longer product and of the shorter one, which uses each stage once, so that what
# happens when a stage is used again is no fault there.
FAULTS = {
    "no_wait_for_full": (TOO_MANY, ENDED),
    "wrong_parity_of_full": (TOO_MANY, ENDED),
    "wrong_parity_of_empty": (FOR_EVER + WAIT, FOR_EVER + WAIT),
    "early_arrival": ("wrong", "right"),  # under one schedule, see below
    "no_wait_for_empty": (TOO_MANY, "right"),
    "every_thread_arrives": (f"{TOO_MANY}|{FOR_EVER}{WAIT}", "right"),
    "nobody_arrives": (FOR_EVER + WAIT, "right"),
    "fewer_bytes": (f"more bytes come|fewer were announced, {LOAD}",) * 2,
    "more_bytes": (
        FOR_EVER + f"{WAIT}; phase 0 of the mbarrier of .* misses 0 arrivals and 16 bytes",
        f"{ALONE}; phase 0 of the mbarrier of .* misses 0 arrivals and 16 bytes",
    ),
    "not_published": (f"no fence made the mbarrier's initialisation known .*, {LOAD}",) * 2,
    "not_initialised": (f"the mbarrier was not initialised, or was overwritten, {ARRIVE}",) * 2,
    "last_step_not_loaded": (ALONE, ALONE),
    "last_step_not_used": (ENDED, f"{ENDED}|wrong"),
    "no_fence": (f"no wgmma.fence since the sums were last touched, {MULTIPLY}",) * 2,
    "no_commit": ("wrong", "wrong"),
    "no_wait_for_products": ("wrong", "wrong"),
    "one_group_left": ("wrong", "wrong"),
    "wrong_next_product": ("wrong", "wrong"),
    "tile_of_descriptor_misaligned": ("must begin at a multiple of 1024 bytes, .*wgmma.wait",) * 2,
    "tile_misaligned": (f"must begin at a multiple of 1024 bytes, {LOAD}",) * 2,
    "tile_beyond_shared": (f"the tile does not lie in a shared array, {LOAD}",) * 2,
    "warp_missing": (FOR_EVER + MULTIPLY, f"from thread 128: {MULTIPLY}"),
    "different_descriptors": (f"threads of the warpgroup name different tiles, {MULTIPLY}",) * 2,
}

# In the others each warp has read a tile before the thread that overwrites it gets its turn.
ONLY_SHUFFLED = ("early_arrival",)


@pytest.fixture(params=emulated.SCHEDULES)
def device(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The module under each schedule."""
    planted().set_schedule(request.param, seed=1)
    planted().schedule = request.param
    yield planted()
    planted().set_schedule("forward")


def outcome(device: ModuleType, fault: str, depth: int) -> str:
    """ "right", "wrong", or what the error says."""
    rng = harness.rng_of(depth)
    a, b = harness.integers(rng, (ROWS, depth)), harness.integers(rng, (COLUMNS, depth))
    try:
        y = np.array(device.run_hopper(fault, a.ravel(), b.ravel()), np.float32)
    except RuntimeError as error:
        return str(error)
    return "right" if np.array_equal(y.reshape(ROWS, COLUMNS), a @ b.T) else "wrong"


def test_every_fault_is_listed() -> None:
    """None is planted and not looked for."""
    assert set(planted().hopper_faults()) == {"none", *FAULTS}


@pytest.mark.parametrize("depth", [*DEPTHS, 8, 72])
def test_the_right_kernel_passes(device: ModuleType, depth: int) -> None:
    """Also where the last step is not a whole one."""
    assert outcome(device, "none", depth) == "right"


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(device: ModuleType, fault: str, depth: int) -> None:
    """By an error or a wrong result; the next launch is right again."""
    expected = FAULTS[fault][DEPTHS.index(depth)]
    if fault in ONLY_SHUFFLED and device.schedule != "shuffled":
        expected = "right"
    found = outcome(device, fault, depth)
    assert re.search(f"^({fault}: .*)?({expected})", found), found
    assert outcome(device, "none", depth) == "right"


# Of the product of turned tiles.
PATCH_SITE = r"{} at .*planted_patches\.cu:\d+"
LOAD_PATCHES = PATCH_SITE.format("cp.async.bulk.tensor.im2col")
NOT_NUMBERED = f"the first pixel is none of those that the map numbers, {LOAD_PATCHES}"
TOO_FAR = f"a patch is read 0 to 254 beside its pixel, {LOAD_PATCHES}"
PATCH_FAULTS = {
    "other_kind_of_map": f"the tensor map is not one for this kind of load, {LOAD_PATCHES}",
    "pixel_not_numbered": NOT_NUMBERED,
    "pixel_beyond_the_last": NOT_NUMBERED,
    "offset_too_far": TOO_FAR,
    "offset_below_zero": TOO_FAR,
    "fewer_bytes": "more bytes come|fewer were announced",
    "neighbouring_tap": "wrong",
    "wrong_distance": "wrong",
    "wrong_next_product": "wrong",
    "not_turned": "wrong",
    "tile_between_lines": "must begin at a multiple of 1024 bytes, .*wgmma.wait",
}


def outcome_of_patches(device: ModuleType, fault: str) -> str:
    """ "right", "wrong", or what the error says."""
    rng = harness.rng_of("patches")
    x, dy = harness.integers(rng, (2, 6, 7, 72)), harness.integers(rng, (2, 5, 5, 128))
    try:
        y = np.array(device.run_patches(fault, x.ravel(), dy.ravel()), np.float32)
    except RuntimeError as error:
        return str(error)
    expected = np.einsum("npqc,npqk->ck", x[:, 1:6, 2:, 8:], dy)
    return "right" if np.array_equal(y.reshape(64, 128), expected) else "wrong"


@pytest.mark.parametrize("fault", ["none", *PATCH_FAULTS])
def test_faults_with_patches_are_found(device: ModuleType, fault: str) -> None:
    """By an error or a wrong result, and none where there is none."""
    found = outcome_of_patches(device, fault)
    assert re.search(f"^({fault}: .*)?({PATCH_FAULTS.get(fault, 'right')})", found), found
    assert outcome_of_patches(device, "none") == "right"


def test_every_fault_with_patches_is_listed() -> None:
    """None is planted and not looked for."""
    assert set(planted().patch_faults()) == {"none", *PATCH_FAULTS}
