"""What the PTX machine counts of a kernel: instructions, shared memory's wavefronts, sectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptx_kernels import needs_nvcc, run

pytestmark = needs_nvcc

SHARED = ".shared .align 16 .b8 table[16384]; mov.u32 r1, table;"


def counts_of(
    body: str, *arguments: Any, file: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> dict[str, Any]:
    """The line of one launch."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_COUNTS", str(file))
    run(body, *arguments, **options)
    monkeypatch.delenv("NEURONA_PTX_MACHINE_COUNTS")
    run(body, *arguments, **options)  # which is not counted
    (line,) = file.read_text().splitlines()
    return json.loads(line)  # type: ignore[no-any-return]


# Words between neighbouring threads, and how many of them lie in one bank.
@pytest.mark.parametrize(("stride", "taken"), [(0, 1), (1, 1), (2, 2), (3, 1), (8, 8), (32, 32)])
def test_bank_conflicts(
    stride: int, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Different words of one bank come one after the other; one word is given to all who ask."""
    body = f"{SHARED} mad.lo.s32 r2, t, {4 * stride}, r1; st.shared.u32 [r2], t;"
    counts = counts_of(body, file=tmp_path / "counts", monkeypatch=monkeypatch)
    assert counts["shared_wavefronts"] == [taken, 1]


# Of vectors of four words: neighbours, one for all, and one in 2, of which 8 threads meet 4 banks.
@pytest.mark.parametrize(("stride", "taken"), [(4, 4), (0, 4), (8, 8)])
def test_vectors_are_served_in_parts(
    stride: int, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warp's registers take 128 bytes at a time."""
    body = (
        f"{SHARED} mad.lo.s32 r2, t, {4 * stride}, r1; ld.shared.v4.u32 {{r4, r5, r6, r7}}, [r2];"
    )
    counts = counts_of(body, file=tmp_path / "counts", monkeypatch=monkeypatch)
    assert counts["shared_wavefronts"] == [taken, 4]


@pytest.mark.parametrize(
    ("stride", "taken", "least"), [(1, 4, 4), (2, 8, 4), (8, 32, 4), (0, 1, 1)]
)
def test_sectors(
    stride: int, taken: int, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 32 bytes; least is what the bytes that are wanted would fill."""
    x, y = np.zeros(32 * 8, np.uint32), np.zeros(32 * 8, np.uint32)
    body = f"""mul.wide.u32 l0, t, {4 * stride}; add.s64 l1, a0, l0; add.s64 l2, a1, l0;
        ld.global.u32 r0, [l1]; st.global.u32 [l2], r0;"""
    counts = counts_of(body, x, y, file=tmp_path / "counts", monkeypatch=monkeypatch)
    assert counts["load_sectors"] == counts["store_sectors"] == [taken, least]


def test_waiting_for_other_blocks_is_one_instruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many turns of its warp it takes: each block comes while the other one waits."""
    together = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"
    found = [
        counts_of(body, file=tmp_path / f"{i}", monkeypatch=monkeypatch, grid=4, cluster=2)
        for i, body in enumerate(("", "bar.sync 0;" + together * 3))
    ]
    assert found[1]["warp_instructions"] - found[0]["warp_instructions"] == 7 * 4


def test_instructions_and_who_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each instruction of a warp counts, also one that a guard keeps all threads from."""
    with_products = "mov.f32 f0, 0f3F800000; fma.rn.f32 f1, f0, f0, f0; fma.rn.f32 f2, f1, f0, f0;"
    guarded = "setp.lt.u32 p0, t, 8; @p0 mov.u32 r3, t;"
    found = [
        counts_of(body, file=tmp_path / f"{i}", monkeypatch=monkeypatch, block=64, grid=3)
        for i, body in enumerate(("", with_products, guarded))
    ]
    nothing, products, half = found
    warps = 3 * 2
    assert nothing["kernel"] == "kernel" and nothing["blocks"] == [3, 1, 1]
    assert nothing["threads"] == 64 and nothing["products"] == 0
    assert products["warp_instructions"] - nothing["warp_instructions"] == 3 * warps
    assert products["products"] == 2 * warps
    assert half["warp_instructions"] - nothing["warp_instructions"] == 2 * warps
    # 32 lanes compare, and in each block 8 of the first warp move.
    assert half["active_lanes"] - nothing["active_lanes"] == 32 * warps + 8 * 3
