"""The engine: gradients, what it refuses, and that nothing is silently wrong."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from compare import assert_close, assert_exact
from neurona import Tensor, autograd
from neurona.nn import functional as F


@pytest.fixture(autouse=True)
def on_the_reference() -> Iterator[None]:
    """Values and gradients here are those of float64 or small integers."""
    with neurona.use_backend("reference"):
        yield


def leaf(*values: float) -> Tensor:
    return neurona.tensor(list(values), requires_grad=True)


def wide(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Tensor:
    """A float64 leaf."""
    values = np.random.default_rng((seed, *shape)).uniform(low, high, shape)
    return neurona.tensor(values, requires_grad=True)


def same(got: Tensor | None, expected: Any, what: str) -> None:
    assert got is not None
    assert_exact(got.data, np.asarray(expected, got.data.dtype), what=what)


# Every operation against central differences: name -> (function, inputs).
POSITIVE = wide(3, 4, low=0.5)
CASES: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "add": (lambda a, b: a + b, (wide(3, 4), wide(4))),
    "sub": (lambda a, b: a - b, (wide(3, 1), wide(1, 4))),
    "mul": (lambda a, b: a * b, (wide(2, 3, 4), wide(3, 1))),
    "div": (lambda a, b: a / b, (wide(3, 4), wide(4, low=0.5))),
    "numbers": (lambda a: (2 - a) * 3 + 1 / (a + 5), (wide(3, 4),)),
    "square": (lambda a: a**2, (wide(3, 4),)),
    "pow": (lambda a: a**2.5, (POSITIVE,)),
    "pow tensors": (lambda a, b: a**b, (POSITIVE, wide(4))),
    "number to the power": (lambda a: 2.0**a, (wide(3, 4),)),
    "exp": (lambda a: a.exp(), (wide(3, 4),)),
    "log": (lambda a: a.log(), (POSITIVE,)),
    "sqrt": (lambda a: a.sqrt(), (POSITIVE,)),
    "abs": (lambda a: a.abs(), (POSITIVE,)),
    "clamp": (lambda a: a.clamp(-0.513, 0.713), (wide(3, 4),)),
    "maximum": (lambda a, b: a.maximum(b), (wide(3, 4), wide(4, seed=1))),
    "minimum": (lambda a, b: neurona.minimum(a, b), (wide(3, 4), wide(4, seed=1))),
    "where": (lambda a, b: neurona.where(a > b, a, b), (wide(3, 4), wide(4, seed=1))),
    "sum": (lambda a: a.sum((0, 2), keepdim=True), (wide(2, 3, 4),)),
    "mean": (lambda a: a.mean(1), (wide(2, 3, 4),)),
    "var": (lambda a: a.var(1), (wide(3, 4),)),
    "std": (lambda a: a.std(), (wide(3, 4),)),
    "max": (lambda a: a.max(), (wide(3, 4),)),
    "max dim": (lambda a: a.max(1).values, (wide(3, 4),)),
    "min dim": (lambda a: a.min(0, keepdim=True).values, (wide(3, 4),)),
    "norm": (lambda a: a.norm(), (wide(3, 4),)),
    "reshape": (lambda a: a.reshape(2, -1) * 2, (wide(3, 4),)),
    "permute": (lambda a: a.permute(2, 0, 1), (wide(2, 3, 4),)),
    "transpose": (lambda a: a.mT.flatten(1), (wide(2, 3, 4),)),
    "expand": (lambda a: a.expand(5, 3, 4), (wide(3, 1),)),
    "squeeze": (lambda a: a.unsqueeze(0).squeeze(), (wide(3, 4),)),
    "getitem": (lambda a: a[1:, ::2], (wide(3, 4),)),
    "gather": (lambda a: a[[0, 2, 0], [1, 1, 1]], (wide(3, 4),)),
    "mask": (lambda a: a[a.detach() > 0], (wide(3, 4),)),
    "cat": (lambda a, b: neurona.cat([a, b, a], 1), (wide(3, 4), wide(3, 2))),
    "stack": (lambda a, b: neurona.stack([a, b], -1), (wide(3, 4), wide(3, 4, seed=1))),
    "split": (lambda a: neurona.cat(a.split(3, 1)[::-1], 1), (wide(3, 4),)),
    "cast": (lambda a: a.clone().contiguous(), (wide(3, 4),)),
    "matmul": (lambda a, b: a @ b, (wide(3, 4), wide(4, 2))),
    "matmul vectors": (lambda a, b: a @ b, (wide(4), wide(4, seed=1))),
    "matmul stacks": (lambda a, b: a @ b, (wide(2, 1, 3, 4), wide(2, 4, 2))),
    "setitem": (lambda a, b: assigned(a, b), (wide(3, 4), wide(2))),
    "in place": (lambda a, b: changed(a, b), (wide(3, 4), wide(4))),
}


def assigned(a: Tensor, b: Tensor) -> Tensor:
    y = a * 2
    y[1:, 1] = b
    return y


def changed(a: Tensor, b: Tensor) -> Tensor:
    y = a * b
    y += b
    y *= 1.5
    y -= a
    return y.div_(3.0)


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_central_differences(name: str) -> None:
    function, inputs = CASES[name]
    assert autograd.gradcheck(function, inputs)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    class Wrong(autograd.Function):
        def forward(ctx, x: np.ndarray) -> np.ndarray:
            ctx.save_for_backward(x)
            return x * x

        def backward(ctx, dy: np.ndarray) -> np.ndarray:
            (x,) = ctx.saved_tensors
            return 2.005 * x * dy

    x = wide(3)
    with pytest.raises(RuntimeError, match=r"gradcheck: the gradient of inputs\[0\] at \(\d,\)"):
        autograd.gradcheck(Wrong.apply, x)
    assert not autograd.gradcheck(Wrong.apply, x, raise_exception=False)


def test_gradcheck_finds_a_backward_that_changes() -> None:
    calls = iter(range(100))

    class Drifting(autograd.Function):
        def forward(ctx, x: np.ndarray) -> np.ndarray:
            return x * 1.0

        def backward(ctx, dy: np.ndarray) -> np.ndarray:
            return dy * (1 + 1e-9 * next(calls))

    with pytest.raises(RuntimeError, match="not deterministic"):
        autograd.gradcheck(Drifting.apply, wide(3))
    assert autograd.gradcheck(Drifting.apply, wide(3), nondet_tol=1e-6)


def test_gradcheck_wants_something_to_check() -> None:
    with pytest.raises(ValueError, match="requires grad"):
        autograd.gradcheck(lambda x: x, neurona.ones(2))
    with pytest.raises(TypeError, match="float64"):
        autograd.gradcheck(lambda x: x, leaf(1.0))


def test_gradients_add_up_over_paths_and_calls() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    (y + y * x).sum().backward()
    same(x.grad, [2 + 3, 4 + 12], "two paths")
    (x * 3).sum().backward()
    same(x.grad, [8, 19], "two calls")


def test_grads_of_two_leaves_share_no_memory() -> None:
    a, b = leaf(1.0), leaf(2.0)
    (a + b).backward()
    assert a.grad is not None and b.grad is not None
    a.grad.data[0] = 7
    same(b.grad, [1], "b")
    upstream = neurona.tensor([5.0])
    a.grad = None
    a.backward(upstream)
    upstream.data[0] = 0
    same(a.grad, [5], "a leaf's own backward")


def test_only_what_needs_a_gradient_is_computed() -> None:
    asked = []

    class Spy(autograd.Function):
        def forward(ctx, a: np.ndarray, b: np.ndarray, c: Any) -> np.ndarray:
            asked.append(list(ctx.needs))
            return a + b

        def backward(ctx, dy: np.ndarray) -> Any:
            asked.append(list(ctx.needs_input_grad))
            return dy, None

    a = leaf(1.0)
    Spy.apply(a, neurona.ones(1), "option").backward()
    with neurona.no_grad():
        Spy.apply(a, a, None)
    assert asked == [[True, False, False]] * 2 + [[False] * 3]


def test_static_methods_and_other_kinds_of_gradient() -> None:
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
            ctx.scale = 2
            return x * 2

        @staticmethod
        def backward(ctx: Any, dy: np.ndarray) -> Any:
            return Tensor(dy * ctx.scale)

    x = leaf(3.0)
    Double.apply(x).backward()
    same(x.grad, [2], "static")

    class Bad(Double):
        @staticmethod
        def backward(ctx: Any, dy: np.ndarray) -> Any:
            return "gradient"

    with pytest.raises(TypeError, match="Bad backward: gradients must be arrays or None, got str"):
        Bad.apply(x).backward()

    class Misshapen(Double):
        @staticmethod
        def backward(ctx: Any, dy: np.ndarray) -> Any:
            return np.zeros(5, np.float32)

    with pytest.raises(RuntimeError, match=r"Misshapen backward: .* \(1,\), got \(5,\)"):
        Misshapen.apply(x).backward()


def test_backward_refuses() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"no scalar, got shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="no graph"):
        neurona.ones(1).backward()
    with pytest.raises(RuntimeError, match="no graph"):
        x.detach().sum().backward()
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\), got shape \(3,\)"):
        (x * 2).backward(neurona.ones(3))
    with pytest.raises(TypeError, match="gradient must have dtype float32, got float64"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(TypeError, match="gradient must be a Tensor, got float"):
        (x * 2).backward(1.0)
    assert x.grad is None


def test_backward_twice_needs_retain_graph() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    same(x.grad, [12], "twice")
    with pytest.raises(RuntimeError, match="Mul was freed.*retain_graph=True"):
        y.backward()
    same(x.grad, [12], "after the error")


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: x.exp(), "Exp"),
        (lambda x: x * x, "Mul"),
        (lambda x: x.log(), "Log"),
        (F.sigmoid, "Sigmoid"),
        (lambda x: F.softmax(x, 0), "Softmax"),
    ],
)
def test_a_saved_tensor_changed_in_place_is_an_error(function: Any, operation: str) -> None:
    x = leaf(1.0, 2.0)
    middle = x * 2
    y = function(middle)
    with neurona.no_grad():
        (y if operation in ("Exp", "Sigmoid", "Softmax") else middle).add_(1.0)
    with pytest.raises(RuntimeError, match=f"{operation} backward: .*version 0, got version 1"):
        y.sum().backward()
    assert x.grad is None


def test_views_and_detached_tensors_share_the_version() -> None:
    for change in (
        lambda t: t.view(-1),
        lambda t: t.detach(),
        lambda t: t[0:1],
        lambda t: t.unsqueeze(0),
    ):
        x = leaf(1.0, 2.0)
        middle = x * 2
        y = middle * middle
        with neurona.no_grad():
            change(middle).zero_()
        with pytest.raises(RuntimeError, match="changed in place"):
            y.sum().backward()


def test_changes_of_what_was_not_saved_are_fine() -> None:
    x, frozen = leaf(1.0, 2.0), neurona.ones(2)
    y = x * frozen  # frozen is saved, x is not
    z = y + 1
    with neurona.no_grad():
        y.zero_()
        x.add_(1.0)
    z.sum().backward()
    same(x.grad, [1, 1], "x")


def test_in_place_rules() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="add_: a leaf that requires grad"):
        x += 1
    with pytest.raises(RuntimeError, match="uniform_: a leaf"):
        x.uniform_()
    y = x * 2
    view = y.view(2, 1)
    with pytest.raises(RuntimeError, match="mul_: a tensor whose memory is shared with a view"):
        y *= 2
    with pytest.raises(RuntimeError, match="shared with a view"):
        view += 1
    same(y, [2, 4], "unchanged")
    with neurona.no_grad():
        x += 1
    same(x, [2, 3], "without recording")


def test_in_place_result_joins_the_graph() -> None:
    x, total = leaf(1.0, 2.0), neurona.zeros(2)
    memory = total.data
    total += x * 3
    assert total.requires_grad and not total.is_leaf and total.data is memory
    total.sum().backward()
    same(x.grad, [3, 3], "x")
    x.grad = None
    y = x * 2
    z = y.exp()
    y.zero_()
    assert y.requires_grad
    with np.errstate(all="raise"):
        (z + y).sum().backward()
    assert x.grad is not None
    assert_close(x.grad.data, 2 * np.exp([2.0, 4.0]), 1e-4, what="zeroed")


def test_no_grad_as_context_and_decorator() -> None:
    x = leaf(1.0)

    @neurona.no_grad()
    def doubled() -> Tensor:
        return x * 2

    @neurona.no_grad
    def tripled() -> Tensor:
        with neurona.enable_grad():
            assert (x * 3).requires_grad
        return x * 3

    assert not doubled().requires_grad and not tripled().requires_grad
    assert doubled.__name__ == "doubled" and (x * 2).requires_grad
    with pytest.raises(KeyError), neurona.no_grad():
        raise KeyError
    assert neurona.is_grad_enabled()
    with neurona.set_grad_enabled(False):
        assert not neurona.is_grad_enabled()
    assert neurona.is_grad_enabled()


def test_the_mode_is_one_per_thread() -> None:
    seen = []
    with neurona.no_grad():
        thread = threading.Thread(target=lambda: seen.append(neurona.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_leaves() -> None:
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and not y.is_leaf
    with pytest.raises(RuntimeError, match="only that of a leaf"):
        y.requires_grad = False
    with pytest.raises(TypeError, match="floating dtype, got int64"):
        neurona.arange(3).requires_grad_()
    assert y.detach().is_leaf and not y.detach().requires_grad
    assert y.detach_() is y and y.is_leaf


def test_retain_grad_and_hooks() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    calls = []
    handle = y.register_hook(lambda grad: calls.append(grad.tolist()))
    y.register_hook(lambda grad: grad * 10)
    x.register_hook(lambda grad: -grad)
    y.sum().backward(retain_graph=True)
    same(y.grad, [10, 10], "retained")
    same(x.grad, [-30, -30], "leaf")
    handle.remove()
    handle.remove()
    y.sum().backward()
    assert calls == [[1.0, 1.0]]
    with pytest.raises(RuntimeError, match="register_hook"):
        neurona.ones(1).register_hook(print)


def test_a_hook_that_raises_changes_no_grad() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = x * y

    def refuse(grad: Tensor) -> None:
        raise KeyError("refused")

    z.register_hook(refuse)
    total = (z * 2 + y).sum()
    with pytest.raises(KeyError):
        total.backward()
    assert x.grad is None and y.grad is None and neurona.is_grad_enabled()


def test_grad_leaves_the_leaves_alone() -> None:
    x, unused = leaf(1.0, 2.0), leaf(1.0)
    y = x * x
    loss = (y * 3).sum()
    dx, dy = autograd.grad(loss, [x, y], retain_graph=True)
    same(dx, [6, 12], "leaf")
    same(dy, [3, 3], "not a leaf")
    assert x.grad is None
    with pytest.raises(RuntimeError, match=r"inputs\[0\] must be part of the graph"):
        autograd.grad(loss, unused, retain_graph=True)
    assert autograd.grad(loss, [unused], allow_unused=True) == (None,)


def test_the_graph_is_freed_by_backward() -> None:
    x = leaf(1.0)
    y = x * 2
    node = y.grad_fn
    z = (y * y).sum()
    watched = weakref.ref(y)
    del y
    z.backward()
    gc.collect()
    assert watched() is None and node.saved is None and node.edges is None


@pytest.mark.parametrize("run", [True, False])
def test_a_very_deep_graph(run: bool) -> None:
    """Neither backward nor freeing an unused graph may recurse."""
    x = leaf(1.0)
    y: Tensor = x
    for _ in range(100_000):
        y = autograd_identity(y)
    if run:
        y.backward()
        same(x.grad, [1], "deep")
    del y
    gc.collect()


class _Identity(autograd.Function):
    __slots__ = ()

    def forward(ctx, x: np.ndarray) -> np.ndarray:
        return x

    def backward(ctx, dy: np.ndarray) -> np.ndarray:
        return dy


def autograd_identity(x: Tensor) -> Tensor:
    result: Tensor = _Identity.apply(x)
    return result


def test_nan_reaches_every_gradient_that_depends_on_it() -> None:
    x = leaf(1.0, float("nan"), 2.0)
    (x * x).sum().backward()
    same(x.grad, [2, np.nan, 4], "one element")
    x.grad = None
    F.softmax(x, 0).max().backward()
    assert x.grad is not None and np.isnan(x.grad.data).all()


def test_threads_have_graphs_of_their_own() -> None:
    results: list[list[float]] = []

    def work() -> None:
        x = leaf(1.0, 2.0)
        for _ in range(200):
            x.grad = None
            (x * x * x).sum().backward()
        assert x.grad is not None
        results.append(x.grad.tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[3.0, 12.0]] * 4
