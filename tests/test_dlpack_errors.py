"""Forged capsules and lenders that fail: errors, never the end of the process. And what the CUDA
array interface says, right and wrong.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
from lenders import (
    DELETER,
    DLManaged,
    DLVersioned,
    Forger,
    Interface,
    Lender,
    capsule_pointer,
    counts,
    new_capsule,
    numbers,
    on_device,
    references,
    rename_capsule,
)
from neurona.backends import cuda


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The emulated device in the place of a GPU, or the GPU."""
    before = cuda.use_extension(emulated.device_module())
    yield
    cuda.use_extension(before)


@pytest.mark.parametrize("versioned", [False, True])
def test_capsules_made_by_others(versioned: bool) -> None:
    """The deleter is called once, when the last view is gone; without strides it is in C order."""
    for changes in ({}, {"strides": None}, {"byte_offset": 16, "shape": counts(2, 4)}):
        forger = Forger(versioned, **changes)
        shared = neurona.from_dlpack(forger)
        rows = numbers(3, 4)[1:] if "byte_offset" in changes else numbers(3, 4)
        assert np.array_equal(shared.cpu().numpy(), rows)
        view = shared[0]
        del shared
        gc.collect()
        assert forger.deleted == 0
        del view
        gc.collect()
        assert forger.deleted == 1
    absent = Forger(versioned, deleter=DELETER())
    assert neurona.from_dlpack(absent).shape == (3, 4)


@pytest.mark.parametrize("versioned", [False, True])
def test_our_deleter_needs_no_lock(versioned: bool) -> None:
    """A borrower written in C reads the structure, and gives it back from any thread, without
    Python's lock, which a call by ctypes lets go of.
    """
    array = on_device(3, 4)[:, 1:]
    before = references(array)
    kind = DLVersioned if versioned else DLManaged
    name = b"dltensor_versioned" if versioned else b"dltensor"
    capsule = array.__dlpack__(max_version=(1, 0) if versioned else None, stream=-1)
    managed = kind.from_address(capsule_pointer(capsule, name))
    told = managed.tensor
    assert (told.ndim, told.code, told.bits, told.lanes) == (2, 2, 32, 1)
    assert (told.device_type, told.device_id, told.byte_offset) == (2, 0, 0)
    assert told.shape[:2] == [3, 3] and told.strides[:2] == [4, 1]
    assert told.data == array.__cuda_array_interface__["data"][0]
    if versioned:
        assert (managed.major, managed.flags) == (1, 0)
    rename_capsule(capsule, b"used")
    del capsule
    gc.collect()
    assert references(array) == before + 1
    thread = threading.Thread(target=managed.deleter, args=(ctypes.addressof(managed),))
    thread.start()
    thread.join()
    assert references(array) == before


HOST = (ctypes.c_float * 12)()
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "cpu": ({"device_type": 1}, BufferError, "CUDA device 0"),
    "rocm": ({"device_type": 10}, BufferError, "CUDA device 0"),
    "second device": ({"device_id": 1}, BufferError, "CUDA device 0"),
    "float64": ({"bits": 64}, TypeError, "float64"),
    "float16": ({"bits": 16}, TypeError, "float16"),
    "bfloat16": ({"code": 4, "bits": 16}, TypeError, "bfloat16"),
    "complex64": ({"code": 5, "bits": 64}, TypeError, "complex64"),
    "int4": ({"code": 0, "bits": 4}, TypeError, "int4"),
    "no bits": ({"bits": 0}, TypeError, "float0"),
    "unknown": ({"code": 99}, TypeError, "type 99"),
    "lanes": ({"lanes": 4}, TypeError, "32 x 4"),
    "no lanes": ({"lanes": 0}, TypeError, "32 x 0"),
    "version": ({"major": 2}, BufferError, "version 1"),
    "no version": ({"major": 0}, BufferError, "version 1"),
    "axes": ({"ndim": -1}, BufferError, "0 to 64 axes"),
    "many axes": ({"ndim": 65}, BufferError, "0 to 64 axes"),
    "no shape": ({"shape": None}, BufferError, "0 to 64 axes"),
    "negative shape": ({"shape": counts(3, -4)}, BufferError, "shorter than 0"),
    "too long": ({"shape": counts(4, 4)}, BufferError, "do not all lie"),
    "huge": ({"shape": counts(2**62, 4)}, BufferError, "larger than any memory"),
    "huge and empty": ({"shape": counts(0, 2**62)}, BufferError, "larger than any memory"),
    "huge in C order": ({"shape": counts(2**62, 4), "strides": None}, BufferError, "larger than"),
    "huge strides": ({"strides": counts(2**62, 1)}, BufferError, "larger than any memory"),
    "huge span": ({"strides": counts(2**59, 2**60)}, BufferError, "larger than any memory"),
    "backwards": ({"strides": counts(-4, 1)}, BufferError, "do not all lie"),
    "unaligned": ({"byte_offset": 2, "shape": counts(2, 4)}, BufferError, "multiples"),
    "beyond": ({"byte_offset": 2**40}, BufferError, "do not all lie"),
    "absent": ({"data": None}, BufferError, "do not all lie"),
    "on the host": ({"data": ctypes.addressof(HOST)}, BufferError, "do not all lie"),
    "name": ({"name": b"something"}, BufferError, "'something'"),
}


# A GPU says of an address whether it is its own, and not to which array it belongs.
ASTRAY = {"too long", "backwards"} if emulated.ON_A_GPU else set()


@pytest.mark.parametrize("what", sorted(REFUSED.keys() - ASTRAY))
def test_forged_capsules_are_refused(what: str) -> None:
    """One sentence each; whoever made the capsule still owns it."""
    changes, error, message = REFUSED[what]
    forger = Forger(**changes)
    with pytest.raises(error, match=message):
        neurona.from_dlpack(forger)
    assert forger.deleted == 0
    assert neurona.from_dlpack(Lender(forger.array)).shape == (3, 4)


def test_lenders_that_fail() -> None:
    """What they raise goes through; what they return is checked."""

    class Wrong:
        def __init__(self, result: Any, device: Any = (2, 0)) -> None:
            self.result, self.device = result, device

        def __dlpack__(self, **_options: Any) -> Any:
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

        def __dlpack_device__(self) -> Any:
            return self.device

    for failure in (BufferError("mine"), RuntimeError("mine"), TypeError("mine")):
        with pytest.raises(type(failure), match="mine"):
            neurona.from_dlpack(Wrong(failure))
    for nonsense in (None, 3, b"dltensor", [1.0]):
        with pytest.raises(TypeError, match="must return a capsule"):
            neurona.from_dlpack(Wrong(nonsense))
    for device in (None, 2, (2,), ("cuda", 0), (2, 0, 0)):
        with pytest.raises(TypeError, match="must be a pair"):
            neurona.from_dlpack(Wrong(None, device))
    unnamed = new_capsule(ctypes.addressof(HOST), None, None)
    with pytest.raises(BufferError, match="no name"):
        neurona.from_dlpack(Wrong(unnamed))
    # Memory of the device in a lender that says it is on the host, and the other way round.
    with pytest.raises((RuntimeError, BufferError), match="[Dd]evice"):
        neurona.from_dlpack(Wrong(on_device(2).__dlpack__(), (1, 0)))
    with pytest.raises(BufferError, match="CUDA device 0"):
        neurona.from_dlpack(Wrong(numbers(2).__dlpack__()))


@pytest.mark.parametrize(
    "changes",
    [{}, {"version": 2, "stream": ...}, {"stream": 1}, {"strides": (16, 4)}, {"strides": ...},
     {"mask": None}, {"version": 4}],
)  # fmt: skip
def test_the_interface_shares(changes: dict[str, Any]) -> None:
    """Versions 2 and later, with and without strides and a stream."""
    lender = Interface(on_device(3, 4), **changes)
    shared = neurona.from_dlpack(lender)
    assert np.array_equal(shared.cpu().numpy(), numbers(3, 4))
    shared.fill_(2)
    assert lender.array[0, 0].item() == 2
    before = sys.getrefcount(lender)
    del shared
    gc.collect()
    assert sys.getrefcount(lender) == before - 1
    copy = neurona.tensor(lender)
    lender.array.fill(3)
    assert copy.device == "cuda" and copy[0, 0].item() == 2


def test_views_and_read_only_arrays_by_the_interface() -> None:
    """Strides in bytes, no elements, no axes, and the flag."""
    array = on_device(3, 4)
    for view in (array[::-1, 1:3], array[1, 2], array[:, :0], array.T):
        shared = neurona.from_dlpack(Interface(view))
        assert np.array_equal(shared.cpu().numpy(), view.numpy())
    array._memory.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        neurona.from_dlpack(Interface(array)).add_(1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"version": 1}, TypeError, "version must be 2"),
        ({"version": "3"}, TypeError, "not as the interface says"),
        ({"shape": ...}, TypeError, "not as the interface says"),
        ({"shape": 3}, TypeError, "not as the interface says"),
        ({"shape": (3.0,)}, TypeError, "not as the interface says"),
        ({"data": 5}, TypeError, "not as the interface says"),
        ({"data": (None, False)}, TypeError, "not as the interface says"),
        ({"data": (-1, False)}, BufferError, "larger than any memory"),
        ({"data": (2**64, False)}, BufferError, "larger than any memory"),
        ({"data": (0, False)}, BufferError, "do not all lie"),
        ({"data": (ctypes.addressof(HOST), False)}, BufferError, "do not all lie"),
        ({"typestr": "<f8"}, TypeError, "float64"),
        ({"typestr": ">f4"}, TypeError, ">f4"),
        ({"typestr": "<c8"}, TypeError, "complex64"),
        ({"typestr": "|O"}, TypeError, "object"),
        ({"typestr": "x"}, TypeError, "not as the interface says"),
        ({"mask": object()}, TypeError, "mask"),
        ({"stream": 0}, ValueError, "stream"),
        ({"stream": -1}, ValueError, "stream"),
        ({"stream": "1"}, TypeError, "stream"),
        ({"shape": (2**40, 4)}, BufferError, "do not all lie"),
        ({"shape": (2**70,)}, BufferError, "larger than any memory"),
        ({"shape": (3, -4)}, BufferError, "shorter than 0"),
        ({"strides": (16,)}, BufferError, "same length"),
        ({"strides": (18, 4), "shape": (2, 4)}, BufferError, "multiples"),
    ],
)
def test_what_the_interface_cannot_mean(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    """One sentence each."""
    with pytest.raises(error, match=message):
        neurona.from_dlpack(Interface(on_device(3, 4), **changes))


def test_an_interface_that_is_no_dictionary() -> None:
    """Whatever it is."""
    for nonsense in (None, 3, [("shape", (1,))]):
        lender = Interface(on_device(2))
        lender.__cuda_array_interface__ = nonsense  # type: ignore[assignment]
        with pytest.raises(TypeError, match="not as the interface says"):
            neurona.from_dlpack(lender)
