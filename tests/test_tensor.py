"""Tensor and the functions that make tensors: values, dtypes, memory, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import neurona
from compare import assert_exact
from neurona import Tensor


def numbers(*shape: int) -> Tensor:
    """0, 1, 2, ... in float32."""
    return neurona.arange(int(np.prod(shape))).float().reshape(shape)


def same(got: Tensor, expected: Any, what: str = "tensor") -> None:
    assert isinstance(got, Tensor)
    assert_exact(got.data, np.asarray(expected, got.data.dtype), what=what)


# Making tensors.


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        (3, np.int64),
        (True, np.bool_),
        ([1, 2], np.int64),
        ([[1.0, 2], [3, 4]], np.float32),
        ([], np.float32),
        (np.zeros(2), np.float64),
        (np.float64(2), np.float64),
        ([np.float64(2), np.float64(3)], np.float64),
        (np.arange(2, dtype=np.uint8), np.uint8),
    ],
)
def test_dtype_of_new_tensors(data: Any, dtype: Any) -> None:
    assert neurona.tensor(data).dtype == dtype
    assert neurona.tensor(data, dtype=neurona.float32).dtype == np.float32


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.zeros(2, np.float32)
    copied, shared, wrapped = neurona.tensor(array), neurona.from_numpy(array), Tensor(array)
    array[:] = 5
    same(copied, [0, 0])
    same(shared, [5, 5])
    assert wrapped.data is array and shared.numpy() is array
    same(neurona.tensor([neurona.tensor(1.0), neurona.tensor(2.0)]), [1, 2])


@pytest.mark.parametrize(
    "bad", ["abc", None, [[1, 2], [3]], b"x", 1j, np.zeros(2, complex), np.array([None]), {1: 2}]
)
def test_tensor_refuses(bad: Any) -> None:
    with pytest.raises(TypeError, match="^tensor: |^Tensor: "):
        neurona.tensor(bad)


@pytest.mark.parametrize("bad", ["abc", None, [1.0], 1.0, np.ma.masked_array([1.0])])
def test_the_constructor_wants_an_array(bad: Any) -> None:
    with pytest.raises(TypeError, match="data must be a numpy.ndarray, got"):
        Tensor(bad)


def test_filled_tensors() -> None:
    same(neurona.zeros(2, 3), np.zeros((2, 3)))
    same(neurona.ones((2, 3), dtype=neurona.int64), np.ones((2, 3)))
    assert neurona.empty(0, 4).shape == (0, 4) and neurona.zeros().shape == ()
    assert [neurona.full((2,), v).dtype.name for v in (True, 1, 1.0)] == [
        "bool",
        "int64",
        "float32",
    ]
    same(neurona.full_like(numbers(2), 7), [7, 7])
    same(neurona.zeros_like(numbers(2)), [0, 0])
    same(neurona.ones_like(numbers(2)), [1, 1])
    assert neurona.empty_like(numbers(2, 3)).shape == (2, 3)
    same(neurona.arange(1, 2, 0.25), [1, 1.25, 1.5, 1.75])
    assert neurona.arange(3).dtype == np.int64 and neurona.arange(3.0).dtype == np.float32
    same(neurona.linspace(0, 1, 3), [0, 0.5, 1])
    same(neurona.eye(2, 3), [[1, 0, 0], [0, 1, 0]])
    for bad in (-1, 1.5, "3", True):
        with pytest.raises((TypeError, ValueError), match="zeros: size must be"):
            neurona.zeros(2, bad)
    with pytest.raises(ValueError, match="arange: step"):
        neurona.arange(0, 3, 0)


def test_joining() -> None:
    a = numbers(2, 2)
    same(neurona.cat([a, a], -1), np.concatenate([a.data, a.data], 1))
    same(neurona.stack([a, a], 2), np.stack([a.data, a.data], 2))
    for function in (neurona.cat, neurona.stack):
        with pytest.raises(ValueError, match="must not be empty"):
            function([])
        with pytest.raises(ValueError, match="at position 1"):
            function([a, numbers(3, 3)])
        with pytest.raises(TypeError, match="one dtype"):
            function([a, a.double()])
        with pytest.raises(ValueError, match="dim must be in"):
            function([a], 5)
    with pytest.raises(TypeError, match="condition must have dtype bool"):
        neurona.where(a, a, a)


# Arithmetic.


@pytest.mark.filterwarnings("ignore:neurona. the compiled kernels compute in float32")
def test_integers_serve_as_labels_and_masks() -> None:
    labels = neurona.tensor([0, 1, 2])
    same(labels + 1, [1, 2, 3])
    same(2 - labels, [2, 1, 0])
    same(labels * labels, [0, 1, 4])
    same(labels % 2 == 0, [True, False, True])
    same(labels // 2, [0, 0, 1])
    same(-labels, [0, -1, -2])
    assert (labels / 2).dtype == np.float32 and (labels * 0.5).dtype == np.float32
    assert (labels + neurona.tensor(0.5)).dtype == np.float32
    assert (labels + neurona.tensor(0.5).double().detach()).dtype == np.float64
    mask = (labels > 0) & ~(labels == 2) | (labels != labels)
    same(mask, [False, True, False])
    assert mask.sum().dtype == np.int64 and mask.sum().item() == 1
    same(mask ^ True, [True, False, True])
    assert mask.any().item() and not mask.all().item()
    assert labels.max().item() == 2 and labels.min(0).indices.item() == 0
    with pytest.raises(TypeError, match="mean: .* floating dtype, got int64; use .float()"):
        labels.mean()


def test_arrays_and_numbers_on_both_sides() -> None:
    x, array = numbers(3), np.ones(3, np.float32)
    for result in (x + array, array + x, x + 1, 1 + x, np.float32(1) + x):
        same(result, [1, 2, 3])
    same(array - x, [1, 0, -1])
    same(2.0**x, [1, 2, 4])
    same(x**2, [0, 1, 4])
    same(np.ones((1, 3), np.float32) @ x, [3])
    same(array < x, [False, False, True])
    same(array == x, [False, True, False])
    memory = array
    array -= x
    assert array is memory
    assert_exact(array, np.float32([1, 0, -1]), what="array -= tensor")
    assert type(np.sqrt(x)) is np.ndarray and type(np.add.reduce(x)) is np.float32
    with pytest.raises(TypeError, match="out must be an ndarray"):
        np.add(array, array, out=x)
    assert x.add(x, alpha=2).tolist() == [0, 3, 6] and x.sub(1).tolist() == [-1, 0, 1]
    with pytest.raises(TypeError):
        x + "1"
    with pytest.raises(TypeError):
        x @ 3
    assert (x == None) is False  # noqa: E711


def test_dtypes_are_never_mixed_unasked() -> None:
    with pytest.raises(TypeError, match="add: .* one dtype, got float32 and float64"):
        numbers(2) + numbers(2).double()
    with pytest.raises(TypeError, match="one dtype"):
        x = numbers(2)
        x += numbers(2).double()
    with pytest.raises(ValueError, match="must fit a float"):
        numbers(2) + 10**400


def test_shapes_that_do_not_broadcast() -> None:
    for function in (
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a < b,
        lambda a, b: a.long() + b.long(),
    ):
        with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
            function(numbers(2), numbers(3))


def test_matmul_refuses() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\)"):
        numbers(2, 3) @ numbers(2, 3)
    with pytest.raises(ValueError, match="at least 1 axis"):
        neurona.matmul(numbers(1), neurona.tensor(1.0))
    with pytest.raises(ValueError, match="leading axes must broadcast"):
        numbers(2, 1, 3) @ numbers(3, 3, 1)
    assert (numbers(0, 3) @ numbers(3, 2)).shape == (0, 2)
    same(numbers(2, 0) @ numbers(0, 2), np.zeros((2, 2)))
    assert (numbers(0, 2, 3) @ numbers(0, 3, 4)).shape == (0, 2, 4)


# Reductions.


def test_max_is_a_named_tuple_and_nan_wins() -> None:
    x = neurona.tensor([[1.0, 3.0, 3.0], [2.0, float("nan"), 5.0]])
    values, indices = x.max(1)
    same(values, [3, np.nan])
    same(indices, [1, 1])
    assert x.min(dim=0).indices.tolist() == [0, 1, 0]
    assert x.max(1)._fields == ("values", "indices") and np.isnan(x.max().item())
    assert x.argmax().item() == 4 and x.argmin(1, keepdim=True).shape == (2, 1)
    assert neurona.tensor(2.0).max(0).values.item() == 2.0
    for reduction in ("max", "min", "argmax"):
        with pytest.raises(ValueError, match=f"{reduction}: the tensor must not be empty"):
            getattr(neurona.zeros(0, 3), reduction)()
        with pytest.raises(ValueError, match="dim must be in -2..1, got 2"):
            getattr(x, reduction)(2)


def test_reductions_of_nothing() -> None:
    assert neurona.zeros(0).sum().item() == 0 and np.isnan(neurona.zeros(0).mean().item())
    assert np.isnan(neurona.zeros(1).var().item())
    assert neurona.zeros(0, 3).sum(0).tolist() == [0, 0, 0]


# Shapes.


def test_views_share_memory() -> None:
    x = numbers(2, 3, 4)
    for view in (x.view(6, 4), x.flatten(1), x.permute(2, 0, 1), x.mT, x[1:], x.unsqueeze(0)):
        assert np.shares_memory(view.data, x.data)
    assert x.view(-1)._version is x._version
    assert not np.shares_memory(x.clone().data, x.data)
    assert x.contiguous() is x and x.mT.contiguous().data.flags.c_contiguous
    assert x.T.shape == (4, 3, 2) and x.view_as(numbers(4, 6)).shape == (4, 6)


def test_channels_last_memory_does_not_show() -> None:
    nhwc = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    x = Tensor(nhwc.transpose(0, 3, 1, 2))
    same(x.view(1, -1), nhwc.transpose(0, 3, 1, 2).reshape(1, -1))
    same(x.flatten(1), x.data.reshape(1, -1))


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda x: x.reshape(5), "reshape: sizes must hold the 6 elements"),
        (lambda x: x.reshape(-1, -1), "one of them -1 at most"),
        (lambda x: x.reshape(-1, 4), "reshape: sizes must hold"),
        (lambda x: x.reshape(2, -3), "sizes must be >= 0"),
        (lambda x: neurona.zeros(0, 3).reshape(-1, 0), "reshape: sizes must hold"),
        (lambda x: x.permute(0, 0), "permute: dims must name each of 2 axes once"),
        (lambda x: x.permute(0), "permute: dims"),
        (lambda x: x.transpose(0, 2), "transpose: dim must be in -2..1, got 2"),
        (lambda x: x.expand(2, 6), "expand: sizes must repeat"),
        (lambda x: x.expand(3), "expand: sizes must repeat"),
        (lambda x: x.expand(-1, 2, 3), "expand: sizes must repeat"),
        (lambda x: x.flatten(1, 0), "flatten: start_dim"),
        (lambda x: x.unsqueeze(3), "unsqueeze: dim must be in -3..2, got 3"),
        (lambda x: x.squeeze(2), "squeeze: dim"),
        (lambda x: x.split(0), "split: split_size must be > 0, got 0"),
        (lambda x: x.split([1, 2]), "split: split_size must add up to 2"),
        (lambda x: x.chunk(0), "chunk: chunks must be > 0"),
        (lambda x: x.unsqueeze(0).t(), "t: the tensor must have 2 axes"),
        (lambda x: x.clamp(), "clamp: min or max"),
        (lambda x: x.size(2), "size: dim"),
        (lambda x: x.item(), "item: the tensor must have 1 element"),
        (lambda x: bool(x), "bool: a tensor of several elements"),
        (lambda x: x[::0], "slice step"),
    ],
)
def test_shape_errors(call: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        call(numbers(2, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.reshape(1.5),
        lambda x: x.reshape("6"),
        lambda x: x.permute(True, 0),
        lambda x: x.sum(1.0),
        lambda x: x.unsqueeze(None),
        lambda x: x.split(1.5),
        lambda x: x.to(complex),
    ],
)
def test_kinds_of_arguments(call: Any) -> None:
    with pytest.raises(TypeError):
        call(numbers(2, 3))


def test_indexing() -> None:
    x = numbers(3, 4)
    same(x[neurona.tensor([0, 2])], x.data[[0, 2]])
    same(x[neurona.tensor([True, False, True]), 1], x.data[[0, 2], 1])
    same(x[x > 5], x.data[x.data > 5])
    same(x[..., None, -1], x.data[..., None, -1])
    assert [row.sum().item() for row in x] == [6, 22, 38] and len(x) == 3 and 5.0 in x
    for index in (3, (0, 4), neurona.tensor([7])):
        with pytest.raises(IndexError, match=r"getitem: shape \(3, 4\)"):
            x[index]
    with pytest.raises(IndexError, match="setitem"):
        x[5] = 1
    with pytest.raises(ValueError, match="setitem: "):
        x[0] = numbers(3)
    x[0] = numbers(4) * 10
    x[x == 5] = -1
    same(x[:2], [[0, 10, 20, 30], [4, -1, 6, 7]])
    with pytest.raises(TypeError):
        len(neurona.tensor(1.0))
    with pytest.raises(TypeError):
        iter(neurona.tensor(1.0))


# In place.


def test_changes_in_place() -> None:
    x = numbers(3)
    memory = x.data
    x += 1
    x *= numbers(3)
    x -= np.ones(3, np.float32)
    x /= 2
    same(x, [-0.5, 0.5, 2.5])
    same(x.clamp_(0, 1), [0, 0.5, 1])
    same(x.sub_(1.0, alpha=2).relu_(), [0, 0, 0])
    same(x.add_(numbers(3), alpha=3), [0, 3, 6])
    same(x.copy_(numbers(3).double()), [0, 1, 2])
    same(x.fill_(4), [4, 4, 4])
    same(x.zero_(), [0, 0, 0])
    assert x.data is memory and x._version[0] == 11
    with pytest.raises(ValueError, match=r"add_: the result must have the shape .* \(3,\)"):
        x += numbers(2, 3)
    with pytest.raises(ValueError, match="copy_"):
        x.copy_(numbers(4))
    frozen = np.zeros(2, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        Tensor(frozen).zero_()


def test_random_filling_follows_the_generator() -> None:
    x, y = neurona.empty(4), neurona.empty(4, dtype=neurona.float64)
    x.uniform_(-1, 1, generator=neurona.Generator(3))
    y.uniform_(-1, 1, generator=neurona.Generator(3))
    same(y, x.data)
    assert (abs(x) <= 1).all() and x.normal_(5, 0.001).mean().item() == pytest.approx(5, abs=0.01)


# Other libraries and Python's protocols.


def test_conversions() -> None:
    x = neurona.tensor([1.5, -2.5])
    assert x.int().dtype == np.int32 and x.long().tolist() == [1, -2]
    assert x.double().float().dtype == np.float32 and x.bool().tolist() == [True, True]
    assert x.to("cpu") is x and x.to(np.float32) is x and x.cpu() is x and x.device == "cpu"
    assert x.to(neurona.zeros(1, dtype=neurona.float64)).dtype == np.float64
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'cuda:1'"):
        x.to("cuda:1")
    assert float(x[0]) == 1.5 and int(x[1]) == -2 and [10, 20][neurona.tensor(1)] == 20
    with pytest.raises(TypeError, match="index"):
        [1, 2][x[0]]
    assert x.size() == (2,) and x.size(0) == x.numel() == 2 and x.dim() == x.ndim == 1


def test_numpy_and_dlpack_share_memory() -> None:
    x = numbers(2, 3)
    assert np.asarray(x) is x.data and np.array(x) is not x.data
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    exchanged = np.from_dlpack(x)  # type: ignore[arg-type]
    assert np.shares_memory(exchanged, x.data)
    assert np.shares_memory(neurona.from_dlpack(x).data, x.data)
    x.requires_grad = True
    for call in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match="requires grad"):
            call()
    with pytest.raises(BufferError, match="requires grad"):
        x.__dlpack__()
    assert np.exp(numbers(1))[0] == 1


def test_copies() -> None:
    x = numbers(2).requires_grad_()
    twin = copy.deepcopy({"a": x, "b": x})
    assert twin["a"] is twin["b"] and twin["a"].requires_grad and twin["a"].data is not x.data
    with pytest.raises(RuntimeError, match="only leaf tensors"):
        copy.deepcopy(x * 2)


def test_printing() -> None:
    x = neurona.tensor([1.0, 2.5])
    assert repr(x) == "tensor([1. , 2.5])"
    assert repr(x.double()) == "tensor([1. , 2.5], dtype=float64)"
    assert repr(x.requires_grad_()) == "tensor([1. , 2.5], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 5.], grad_fn=<Mul>)"
    assert len({x, x, neurona.tensor(1)}) == 2
