"""What every op is put through: exact integers, bounds, layouts, threads, gradients, bad calls.

A `call` takes a backend (or the reference module) and arrays and returns an array or a tuple of
arrays.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import neurona._core as core
import neurona.reference as reference
from compare import assert_close, assert_exact, assert_same_bits

# Unit roundoff of float32: half the distance from 1 to the next number.
U = 2.0**-24
SMALLEST_NORMAL = 2.0**-126
SMALLEST_DENORMAL = 2.0**-149

Call = Callable[..., Any]
Arrays = Sequence[np.ndarray]
Bound = Callable[[tuple[np.ndarray, ...]], Sequence[np.ndarray | float]]


def seed_of(*case: object) -> int:
    """A seed that depends on the case alone, so that a failure can be repeated."""
    return zlib.crc32(repr(case).encode())


def rng_of(*case: object) -> np.random.Generator:
    """The generator of a case."""
    return np.random.default_rng(seed_of(*case))


def integers(rng: np.random.Generator, shape: Sequence[int], largest: int = 4) -> np.ndarray:
    """float32 integers -largest..largest: products and sums of them are exact in any order."""
    return rng.integers(-largest, largest + 1, shape).astype(np.float32)


def normals(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """float32 normal numbers."""
    return rng.standard_normal(shape).astype(np.float32)


def results(value: Any) -> tuple[np.ndarray, ...]:
    """The arrays of a result, without the None that stands for one not asked for."""
    values = value if isinstance(value, tuple) else (value,)
    return tuple(v for v in values if v is not None)


def truth(call: Call, arrays: Arrays) -> tuple[np.ndarray, ...]:
    """The result of the reference in float64; arrays that hold no floats are passed as they are."""
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    return results(call(reference, *wide))


def magnitude(call: Call, arrays: Arrays) -> tuple[np.ndarray, ...]:
    """S of the bounds: the same linear operation on the absolute values, in float64."""
    return truth(call, [np.asarray(np.abs(a)) if a.dtype.kind == "f" else a for a in arrays])


def random_bound(terms: int, size: np.ndarray) -> np.ndarray:
    """The bound of a sum of `terms` random products whose absolute values add up to `size`."""
    return (2 * np.sqrt(terms) + 8) * U * size


def check_exact(backend: Any, call: Call, arrays: Arrays, *, what: str) -> None:
    """The results must equal the float64 reference, element by element, in dtype float32."""
    got, expected = results(call(backend, *arrays)), truth(call, arrays)
    assert len(got) == len(expected), f"{what}: {len(got)} results, expected {len(expected)}"
    for i, (result, wanted) in enumerate(zip(got, expected, strict=True)):
        kind = np.float32 if wanted.dtype == np.float64 else wanted.dtype
        assert result.dtype == kind, f"{what}: result {i} has dtype {result.dtype}, expected {kind}"
        assert_exact(result, wanted, what=f"{what} result {i} on {backend}")


def check_within(
    backend: Any, call: Call, arrays: Arrays, bounds: Sequence[np.ndarray | float], *, what: str
) -> None:
    """The results must differ from the float64 reference by no more than the bounds."""
    got, expected = results(call(backend, *arrays)), truth(call, arrays)
    assert len(got) == len(expected) == len(bounds), f"{what}: {len(got)} results"
    for i, (result, wanted, bound) in enumerate(zip(got, expected, bounds, strict=True)):
        assert result.dtype == np.float32, f"{what}: result {i} has dtype {result.dtype}"
        assert_close(result, wanted, bound, what=f"{what} result {i} on {backend}")


def check_linear(
    backend: Any, call: Call, arrays: Arrays, terms: int | Sequence[int], *, what: str
) -> None:
    """Random data through a multilinear op: the bound follows from its own absolute values.

    `terms` is the number of products behind each element, one number for all results or one for
    each.
    """
    sizes = magnitude(call, arrays)
    counts = [terms] * len(sizes) if isinstance(terms, int) else terms
    bounds = [random_bound(n, s) for n, s in zip(counts, sizes, strict=True)]
    check_within(backend, call, arrays, bounds, what=what)


def layouts(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same values under every kind of strides, alignment, byte order and ownership."""
    yield "fortran order", np.asfortranarray(array)
    if array.ndim >= 3:
        yield "channels-last", np.moveaxis(np.moveaxis(array, 1, -1).copy(order="C"), -1, 1)
    everywhere = tuple(slice(None, None, -1) for _ in range(array.ndim))
    yield "negative strides", array[everywhere].copy()[everywhere]
    spread = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    gaps = spread[tuple(slice(None, None, 2) for _ in range(array.ndim))]
    gaps[...] = array
    yield "gaps", gaps
    misaligned = np.ndarray(array.shape, array.dtype, bytearray(array.nbytes + 1), offset=1)
    misaligned[...] = array
    yield "misaligned", misaligned
    record = np.zeros(array.shape, [("pad", np.uint8), ("value", array.dtype)])
    record["value"] = array
    yield "odd stride", record["value"]
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "big-endian", array.astype(array.dtype.newbyteorder(">"))


def check_layouts(backend: Any, call: Call, arrays: Arrays, *, what: str) -> None:
    """Every layout of every argument gives the bits of the contiguous copy and stays unchanged."""
    plain = [np.ascontiguousarray(a) for a in arrays]
    wanted = results(call(backend, *plain))
    for position, array in enumerate(plain):
        variants = [(name, view, plain, wanted) for name, view in layouts(array)]
        if array.ndim and array.shape[0] > 1:
            repeated = [a.copy() if i == position else a for i, a in enumerate(plain)]
            repeated[position][...] = array[:1]
            stride_0 = np.broadcast_to(array[:1], array.shape)
            variants.append(("stride 0", stride_0, repeated, results(call(backend, *repeated))))
        for name, view, others, expected in variants:
            before = view.tobytes()
            arguments = [view if i == position else a for i, a in enumerate(others)]
            got = results(call(backend, *arguments))
            for result, bits in zip(got, expected, strict=True):
                label = f"{what} argument {position} {name} on {backend}"
                assert_same_bits(result, bits, what=label)
            assert view.tobytes() == before, f"{what}: argument {position} ({name}) was changed"


def check_aliased(backend: Any, call: Call, array: np.ndarray, count: int, *, what: str) -> None:
    """The same array given for several arguments is as good as copies of it."""
    expected = results(call(backend, *[array.copy() for _ in range(count)]))
    for result, bits in zip(results(call(backend, *[array] * count)), expected, strict=True):
        assert_same_bits(result, bits, what=f"{what} aliased on {backend}")


def check_threads(compiled: Any, call: Call, arrays: Arrays, *, what: str) -> None:
    """The bits must not depend on the number of threads."""
    core.set_num_threads(1)
    expected = results(call(compiled, *arrays))
    for threads in (2, 3, 8):
        core.set_num_threads(threads)
        for result, bits in zip(results(call(compiled, *arrays)), expected, strict=True):
            assert_same_bits(result, bits, what=f"{what} {threads} threads on {compiled}")


def check_nan_positions(
    backend: Any, call: Call, arrays: Arrays, *, what: str, spoil: Sequence[int] | None = None
) -> None:
    """NaN, inf and -inf at each position of each argument reach exactly the outputs they should.

    `spoil` names the arguments to put them in, all of them by default. The numbers that remain need
    only be roughly right: other tests hold them to their bounds.
    """
    for position in range(len(arrays)) if spoil is None else spoil:
        for index in np.ndindex(arrays[position].shape):
            for value in (np.nan, np.inf, -np.inf):
                spoiled = [a.copy() for a in arrays]
                spoiled[position][index] = value
                label = f"{what} {value} in argument {position} at {index} on {backend}"
                expected = truth(call, spoiled)
                for got, wanted in zip(results(call(backend, *spoiled)), expected, strict=True):
                    if wanted.dtype == np.float64:
                        assert_close(got, wanted, 1e-3 * (1 + np.abs(wanted)), what=label)
                    else:
                        assert_exact(got, wanted, what=label)


def check_gradient(
    forward: Callable[..., np.ndarray],
    backward: Callable[..., Sequence[np.ndarray]],
    arrays: Arrays,
    *,
    what: str,
    eps: float = 1e-6,
) -> None:
    """Central differences of the float64 forward against backward(dy, *arrays), for a random dy."""
    wide = [a.astype(np.float64) for a in arrays]
    dy = rng_of(what, "cotangent").standard_normal(forward(*wide).shape)
    gradients = backward(dy, *wide)
    assert len(gradients) == len(wide)
    for position, (array, gradient) in enumerate(zip(wide, gradients, strict=True)):
        numeric = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            sides = []
            for step in (eps, -eps):
                moved = array.copy()
                moved[index] += step
                others = [moved if i == position else a for i, a in enumerate(wide)]
                sides.append(float((forward(*others) * dy).sum()))
            numeric[index] = (sides[0] - sides[1]) / (2 * eps)
        # Rounding of the sums costs about 1e-16 / eps, the curvature eps squared.
        bound = 1e-6 * (1 + np.abs(gradient))
        assert_close(numeric, gradient, bound, what=f"gradient:{what} argument {position}")


class Bad(NamedTuple):
    """A call that must be refused: arguments, the exception's type, words of its message."""

    op: str
    error: type[Exception]
    words: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}


def check_rejected(backend: Any, bad: Bad, family: str) -> None:
    """The right type, `family` first and every word in the message, and no argument changed."""
    arrays = [a for a in bad.args if isinstance(a, np.ndarray) and a.nbytes < 2**20]
    before = [a.tobytes() for a in arrays]
    with pytest.raises(bad.error) as caught:
        getattr(backend, bad.op)(*bad.args, **bad.kwargs)
    message = str(caught.value)
    if bad.error is not MemoryError:
        assert message.startswith(family), f"{bad.op} on {backend}: {message}"
    for word in bad.words:
        assert word in message, f"{bad.op} on {backend}: {word!r} is missing in: {message}"
    assert [a.tobytes() for a in arrays] == before, f"{bad.op} on {backend} changed an argument"


def bad_arrays(
    op: str, args: tuple[Any, ...], names: Sequence[str], **kwargs: Any
) -> Iterator[Bad]:
    """Everything that is no floating array, in the place of each of the first arguments in turn."""
    for position, name in enumerate(names):
        shape = args[position].shape
        ones = np.ones(shape)
        for value in (
            None,
            "abc",
            b"abc",
            [[1.0], [2.0, 3.0]],
            1.5,
            ones.astype(object),
            np.full(shape, "1"),
            ones.astype(np.complex64),
            ones.astype("datetime64[s]"),
            ones.astype(bool),
            ones.astype(np.int64),
            np.zeros(shape, [("a", np.float32)]),
            np.ma.masked_array(ones.astype(np.float32)),
        ):
            changed = tuple(value if i == position else a for i, a in enumerate(args))
            yield Bad(op, TypeError, (name,), changed, kwargs)
        if len(names) > 1:
            mixed = tuple(ones if i == position else a for i, a in enumerate(args))
            yield Bad(op, TypeError, ("float64", "float32", "astype"), mixed, kwargs)


def bad_ranks(op: str, args: tuple[Any, ...], names: Sequence[str], **kwargs: Any) -> Iterator[Bad]:
    """An axis too few and an axis too many for each array argument."""
    for position, name in enumerate(names):
        for value in (args[position][0], args[position][None]):
            changed = tuple(value if i == position else a for i, a in enumerate(args))
            yield Bad(op, ValueError, (name, "("), changed, kwargs)


def bad_pairs(
    op: str, args: tuple[Any, ...], name: str, minimum: int, **kwargs: Any
) -> Iterator[Bad]:
    """Everything that is no int or pair of ints >= minimum, as keyword argument `name`."""
    for value in (1.5, 2.0, True, "3", float("nan"), {}, (1, 2.5)):
        yield Bad(op, TypeError, (name,), args, {**kwargs, name: value})
    for value in (minimum - 1, (minimum - 1, 1), (1, minimum - 1), 2**63, 2**70, (), (1, 2, 3)):
        yield Bad(op, ValueError, (name,), args, {**kwargs, name: value})


def bad_id(bad: Bad) -> str:
    """A short name of a bad call for pytest."""
    return f"{bad.op} {bad.error.__name__} {chr(32).join(bad.words)}"
