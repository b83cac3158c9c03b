"""Arrays lent and borrowed without a copy by DLPack, on the host and on the emulated device.

What is wrong with capsules, and the CUDA array interface: test_dlpack_errors.py.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
from lenders import Lender, OldLender, numbers, on_device, references
from neurona.backends import DeviceArray, cuda

INTEGERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ["float32", "bool", *INTEGERS]


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The emulated device in the place of a GPU, or the GPU."""
    before = cuda.use_extension(emulated.device_module())
    yield
    cuda.use_extension(before)


# -- On the host ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, "float64"])
def test_numpy_and_back(dtype: str) -> None:
    """Both directions share the memory, with any strides."""
    array = numbers(4, 6, dtype=dtype)[::-1, ::2]
    tensor = neurona.from_dlpack(array)
    assert np.shares_memory(tensor.data, array) and np.array_equal(tensor.data, array)
    again = np.from_dlpack(neurona.Tensor(array))  # type: ignore[arg-type]
    assert np.shares_memory(again, array) and again.dtype == array.dtype
    assert tensor.__dlpack_device__() == (1, 0)


def test_what_the_host_refuses() -> None:
    """As the standard says: BufferError for what cannot be lent."""
    x = neurona.ones(2, requires_grad=True)
    with pytest.raises(BufferError, match="requires grad"):
        neurona.from_dlpack(x)
    assert neurona.from_dlpack(x.detach()).tolist() == [1, 1]
    for source in (None, [1, 2], 3, object()):
        with pytest.raises(TypeError, match="__dlpack__"):
            neurona.from_dlpack(source)
    with pytest.raises(TypeError, match="complex"):
        neurona.from_dlpack(np.zeros(2, np.complex64))
    with pytest.raises((RuntimeError, BufferError)):
        neurona.ones(2).__dlpack__(stream=1)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy's DLPack 1.0")
def test_read_only_and_copies_on_the_host() -> None:
    """A read-only array gives a tensor that may not be changed; copies are copies."""
    array = numbers(3)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        neurona.from_dlpack(array).add_(1)
    copy = neurona.from_dlpack(array, copy=True)
    assert copy.add_(1).tolist() == [1, 2, 3] and array.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["torch", "jax.numpy"])
def test_other_libraries_on_the_cpu(name: str) -> None:
    """There and back again, where they are installed."""
    library = pytest.importorskip(name)
    theirs = library.asarray(numbers(3, 4))
    tensor = neurona.from_dlpack(theirs)
    assert np.array_equal(tensor.data, numbers(3, 4))
    back = library.from_dlpack(neurona.tensor(numbers(3, 4)))
    assert np.array_equal(np.asarray(back), numbers(3, 4))
    if name == "torch" and tensor.data.flags.writeable:  # which older versions of NumPy deny
        tensor += 1
        assert theirs[0, 0] == 1
        back += 1
        assert back[0, 0] == 1


# -- On the device -------------------------------------------------------------------------------


@pytest.mark.parametrize("lender", [Lender, OldLender])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_shared(dtype: str, lender: type[Lender]) -> None:
    """The same memory under both forms of the protocol."""
    array = on_device(2, 3, dtype=dtype)
    shared = neurona.from_dlpack(lender(array))
    assert shared.device == "cuda" and shared.dtype == np.dtype(dtype)
    assert np.array_equal(shared.cpu().numpy(), array.numpy())
    shared.data.fill(1)
    assert (array.numpy() == 1).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:, ::2], lambda a: a[::-1], lambda a: a.T, lambda a: a[1, 2, 3],
        lambda a: a[:, :0], lambda a: a[:, None], lambda a: a.transpose(0, 2, 1)[:, 1:3],
    ],
)  # fmt: skip
def test_views(view: Callable[[Any], Any]) -> None:
    """Strides, also negative ones, no axes and no elements."""
    array = on_device(3, 4, 5)
    shared = neurona.from_dlpack(Lender(view(array)))
    expected = view(numbers(3, 4, 5))
    assert shared.shape == expected.shape and np.array_equal(shared.cpu().numpy(), expected)
    if shared.numel():
        assert shared.data.strides == view(array).strides
        shared += 1
        assert np.array_equal(view(array).numpy(), expected + 1)


def test_kernels_on_borrowed_memory() -> None:
    """It is as good as our own: products, sums, gradients."""
    x, w = on_device(6, 4), on_device(4, 3)
    a = neurona.from_dlpack(Lender(x)).requires_grad_()
    loss = (a @ neurona.from_dlpack(Lender(w))).sum()
    loss.backward()
    assert loss.item() == (numbers(6, 4) @ numbers(4, 3)).sum()
    assert a.grad is not None and a.grad.cpu()[0].tolist() == numbers(4, 3).sum(1).tolist()


def test_memory_lives_as_long_as_somebody_uses_it() -> None:
    """Lent arrays keep their memory, and let go of it when the borrower does."""
    array = on_device(1000)
    before = references(array)
    shared = neurona.from_dlpack(Lender(array))
    view = shared[10:20]
    assert references(array) == before + 1
    del shared
    gc.collect()
    assert references(array) == before + 1
    del view
    gc.collect()
    assert references(array) == before
    shared = neurona.from_dlpack(Lender(array))
    del array
    gc.collect()
    noise = [on_device(1000) for _ in range(5)]  # which would get the memory
    noise[0].fill(-1)
    assert shared.cpu().tolist() == list(range(1000))


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (2, 7)])
def test_a_capsule_that_nobody_takes_is_freed(version: Any) -> None:
    """With what it holds."""
    array = on_device(3)
    before = references(array)
    capsule = array.__dlpack__(max_version=version)
    name = "dltensor_versioned" if version is not None and version[0] >= 1 else "dltensor"
    assert f'"{name}"' in repr(capsule) and references(array) == before + 1
    del capsule
    assert references(array) == before


def test_a_capsule_is_taken_once() -> None:
    """The second time it is refused, and nothing is freed twice."""
    array = on_device(3)
    for version in (None, (1, 0)):
        capsule = array.__dlpack__(max_version=version)
        first = cuda.extension().from_dlpack(capsule)
        with pytest.raises(BufferError, match="used_dltensor"):
            cuda.extension().from_dlpack(capsule)
        del capsule, first
    assert array.tolist() == [0, 1, 2]


def test_read_only() -> None:
    """The newer form says so, the older one cannot."""
    array = on_device(3)
    array._memory.flags.writeable = False
    shared = neurona.from_dlpack(Lender(array))
    with pytest.raises(ValueError, match="read-only"):
        shared.add_(1)
    assert (shared + 1).cpu().tolist() == [1, 2, 3]
    with pytest.raises(BufferError, match="read-only"):
        neurona.from_dlpack(OldLender(array))


def test_streams() -> None:
    """The lender is told our stream; it may be told any but 0."""
    lender = Lender(on_device(3))
    neurona.from_dlpack(lender)
    assert lender.asked == {"stream": cuda.extension().stream_number(), "max_version": (1, 0)}
    array = lender.array
    for stream in (None, 1, -1) if emulated.ON_A_GPU else (None, 1, 2, -1, 12345):
        assert "dltensor" in repr(array.__dlpack__(stream=stream))
    for stream in (0, -2, 2**70):
        with pytest.raises(ValueError, match="stream"):
            array.__dlpack__(stream=stream)
    with pytest.raises(TypeError, match="stream"):
        array.__dlpack__(stream="default")


def test_devices_and_copies() -> None:
    """The host gets a copy; copy=False forbids one; copy=True gives one on the device."""
    tensor = neurona.tensor(numbers(4), device="cuda")
    assert tensor.__dlpack_device__() == (2, 0)
    copy = cuda.extension().from_dlpack(tensor.__dlpack__(copy=True, max_version=(1, 0)))
    tensor.fill_(9)
    assert DeviceArray(copy).tolist() == [0, 1, 2, 3]
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        host = np.from_dlpack(tensor, device="cpu")  # type: ignore[call-arg, arg-type]
        assert host.tolist() == [9] * 4
    with pytest.raises(BufferError, match="copy=False"):
        tensor.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(ValueError, match="stream must be None"):
        tensor.__dlpack__(dl_device=(1, 0), stream=1)
    for elsewhere in ((2, 1), (8, 0), (1, 1)):
        with pytest.raises(BufferError, match="dl_device"):
            tensor.__dlpack__(dl_device=elsewhere)
    for nonsense in (3, (1,), (1, "a"), "ab"):
        with pytest.raises(TypeError, match="dl_device must be a pair"):
            tensor.__dlpack__(dl_device=nonsense)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_version must be a pair"):
        tensor.__dlpack__(max_version=1)  # type: ignore[arg-type]
    source = Lender(tensor.data)
    assert neurona.from_dlpack(source, device="cpu").tolist() == [9] * 4
    assert neurona.from_dlpack(numbers(2), device="cuda").device == "cuda"
    with pytest.raises(BufferError, match="copy=False"):
        neurona.from_dlpack(source, device="cpu", copy=False)
    assert neurona.from_dlpack(source, device="cuda", copy=False).tolist() == [9] * 4
    apart = neurona.from_dlpack(source, copy=True)
    apart.fill_(1)
    assert tensor.tolist() == [9] * 4
    with pytest.raises(ValueError, match="'cpu' or 'cuda'"):
        neurona.from_dlpack(source, device="mps")


def test_tensor_copies_where_the_array_is() -> None:
    """`neurona.tensor` of another library's array on the device; `device` moves."""
    array = on_device(3)
    tensor = neurona.tensor(Lender(array))
    array.fill(7)
    assert tensor.device == "cuda" and tensor.tolist() == [0, 1, 2]
    assert neurona.tensor(Lender(array), device="cpu").device == "cpu"
    assert neurona.tensor(Lender(array), dtype=np.int64).dtype == np.int64
    assert neurona.tensor([1.0, 2.0], device="cuda").tolist() == [1, 2]
    again = neurona.tensor(tensor, requires_grad=True)
    tensor.fill_(5)
    assert again.requires_grad and again.device == "cuda" and again.tolist() == [0, 1, 2]


def test_tensors_that_require_grad_are_not_lent() -> None:
    """On the device neither."""
    with pytest.raises(BufferError, match="requires grad"):
        neurona.ones(2).cuda().requires_grad_().__dlpack__()


def test_float64_and_the_like_are_not_lent() -> None:
    """Only what the device computes with."""
    for dtype in (np.float16, np.complex64):
        with pytest.raises(BufferError, match=np.dtype(dtype).name):
            DeviceArray.from_host(np.zeros(2, dtype)).__dlpack__()


def test_any_thread_may_give_back() -> None:
    """The last reference goes in another thread."""
    array = on_device(100)
    before = references(array)
    shared = [neurona.from_dlpack(Lender(array)) for _ in range(20)]
    threads = [threading.Thread(target=lambda: shared.pop()) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert references(array) == before


def test_words_of_pytorch() -> None:
    """`non_blocking` and `pin_memory` are understood."""
    x = neurona.ones(3)
    assert x.pin_memory().to("cuda", non_blocking=True).device == "cuda"
    assert x.cuda(0, non_blocking=True).to("cpu", non_blocking=True).tolist() == [1, 1, 1]
    assert neurona.nn.Linear(2, 2).to("cuda", non_blocking=True).weight.device == "cuda"
    with pytest.raises(ValueError, match="device must be"):
        x.cuda(1)
