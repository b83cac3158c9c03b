"""nn.functional: gradients against central differences, PyTorch's rules, and what is refused.

The kernels have tests of their own; here each function runs once on either backend, and its
arguments reach the kernels as PyTorch documents them.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurona
import neurona.reference as ref
from compare import assert_close, assert_exact
from neurona import Tensor, autograd
from neurona.nn import functional as F
from neurona.nn.functional.loss import _shared

U = 2.0**-24


@pytest.fixture(params=["reference", "cpu"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both backends in turn."""
    with neurona.use_backend(request.param):
        yield request.param


def wide(*shape: int, seed: int = 0) -> Tensor:
    """A float64 leaf without ties."""
    values = np.random.default_rng((seed, *shape)).uniform(-2, 2, shape)
    return neurona.tensor(values, requires_grad=True)


def narrow(*shape: int, seed: int = 0) -> Tensor:
    return wide(*shape, seed=seed).detach().float()


LABELS = neurona.tensor([1, 0, -100, 2])
MAPS = neurona.tensor(np.array([[[0, 1], [2, 0]], [[1, 1], [0, 2]]]))
PROBABILITIES = Tensor(np.array([[0.2, 0.3, 0.5], [0, 1, 0], [0.1, 0.8, 0.1], [1, 0, 0.0]]))
CLASS_WEIGHTS = Tensor(np.array([0.5, 2.0, 1.0]))
STATISTICS = (Tensor(np.array([0.1, -0.2, 0.3])), Tensor(np.array([1.0, 0.5, 2.0])))
X, W, B = wide(2, 4, 6, 5), wide(6, 2, 3, 2, seed=1), wide(6)
IMAGE = wide(2, 2, 6, 5)

CASES: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "linear": (F.linear, (wide(3, 4), wide(2, 4), wide(2))),
    "linear without bias": (F.linear, (wide(3, 4), wide(2, 4))),
    "linear 3-D": (F.linear, (wide(2, 3, 4), wide(2, 4), wide(2))),
    "linear 1-D": (F.linear, (wide(4), wide(2, 4), wide(2))),
    "linear sigmoid": (
        lambda x, w, b: F.linear(x, w, b, activation="sigmoid"),
        (wide(3, 4), wide(2, 4), wide(2)),
    ),
    "linear gelu": (
        lambda x, w, b: F.linear(x, w, b, activation="gelu"),
        (wide(3, 4), wide(2, 4), wide(2)),
    ),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, 2, (1, 0), (1, 2), 2), (X, W, B)),
    "conv2d same": (lambda x, w: F.conv2d(x, w, None, 1, "same", groups=2), (X, W)),
    "conv2d one image": (lambda x, w, b: F.conv2d(x, w, b), (wide(2, 6, 5), W, B)),
    "conv2d tanh": (lambda x, w, b: F.conv2d(x, w, b, activation="tanh"), (wide(2, 2, 4, 4), W, B)),
    "conv2d silu": (lambda x, w, b: F.conv2d(x, w, b, activation="silu"), (wide(1, 2, 4, 3), W, B)),
    "conv_transpose2d": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
        (wide(2, 4, 3, 2), wide(4, 3, 3, 2), B),
    ),
    "conv_transpose2d one image": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        (wide(4, 3, 2), wide(4, 3, 3, 2)),
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (IMAGE,)),
    "max_pool2d one image": (lambda x: F.max_pool2d(x, 2), (wide(2, 4, 4),)),
    "min_pool2d": (lambda x: F.min_pool2d(x, (3, 2), 1, dilation=2), (IMAGE,)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (IMAGE,)),
    "avg_pool2d divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), (wide(2, 4, 4),)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (None, 2)), (IMAGE,)),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        (wide(4, 3), wide(3), wide(3, seed=1)),
    ),
    "batch_norm evaluation": (
        lambda x, w, b: F.batch_norm(x, *(s.to(x) for s in STATISTICS), w, b),
        (wide(2, 3, 2, 2), wide(3), wide(3, seed=1)),
    ),
    "dropout": (
        lambda x: F.dropout(x, 0.3, generator=neurona.Generator(5)),
        (wide(4, 5),),
    ),
    **{f: (getattr(F, f), (wide(3, 4),)) for f in ("relu", "sigmoid", "tanh", "gelu", "silu")},
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), (wide(3, 4),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (wide(3, 4),)),
    "softmax": (lambda x: F.softmax(x, 1), (wide(2, 3, 4),)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), (wide(2, 3, 4),)),
    "normalize": (F.normalize, (wide(3, 4),)),
    "normalize 1": (lambda x: F.normalize(x, 1.0, 0), (wide(3, 4),)),
    "normalize inf": (lambda x: F.normalize(x, float("inf")), (wide(3, 4),)),
    "pad": (lambda x: F.pad(x, (1, -2, 2, 0), value=3.0), (wide(2, 3, 4),)),
    **{
        f"pad {mode}": (lambda x, mode=mode: F.pad(x, (2, 1, 0, 2), mode), (wide(2, 3, 4),))
        for mode in ("reflect", "replicate", "circular")
    },
    **{
        f"cross_entropy {name} {reduction} {smoothing}": (
            lambda x, t=target, r=reduction, s=smoothing: F.cross_entropy(
                x,
                t.to(x) if t is PROBABILITIES else t,
                CLASS_WEIGHTS.to(x),
                reduction=r,
                label_smoothing=s,
            ),
            (wide(*shape),),
        )
        for (name, target, shape), reduction, smoothing in itertools.product(
            [
                ("classes", LABELS, (4, 3)),
                ("maps", MAPS, (2, 3, 2, 2)),
                ("probabilities", PROBABILITIES, (4, 3)),
                ("one row", neurona.tensor(2), (3,)),
            ],
            ["mean", "sum", "none"],
            [0.0, 0.1],
        )
    },
    "nll_loss": (lambda x: F.nll_loss(x, LABELS, CLASS_WEIGHTS.to(x)), (wide(4, 3),)),
    "nll_loss maps": (lambda x: F.nll_loss(x, MAPS, reduction="none"), (wide(2, 3, 2, 2),)),
    **{
        f"{name} {reduction}": (
            lambda x, y, f=name, r=reduction: getattr(F, f)(x, y, reduction=r),
            (wide(3, 4), wide(3, 4, seed=1)),
        )
        for name, reduction in itertools.product(["mse_loss", "l1_loss"], ["mean", "sum", "none"])
    },
    "mse_loss weighted": (
        lambda x, y: F.mse_loss(x, y, weight=neurona.tensor([1.0, 2.0, 0.0, 3.0]).to(x)),
        (wide(3, 4), wide(3, 4, seed=1)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_central_differences(name: str) -> None:
    function, inputs = CASES[name]
    with neurona.use_backend("reference"):
        assert autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("name", CASES)
def test_the_compiled_kernels_give_the_same(name: str) -> None:
    """Values and gradients in float32, every kernel held to its bound on the way."""
    function, inputs = CASES[name]

    def float32(value: Any) -> Any:
        return value.detach().float().requires_grad_()

    with neurona.verify() as report:
        function(*map(float32, inputs)).sum().backward()
    assert report.calls


# Layers.


def test_fused_activations_equal_separate_ones(either: str) -> None:
    x, weight, bias = narrow(5, 7), narrow(4, 7, seed=1), narrow(4)
    image, kernel = narrow(2, 3, 6, 6), narrow(4, 3, 3, 3, seed=1)
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"):
        separate = getattr(F, name)
        for fused, plain in (
            (F.linear(x, weight, bias, activation=name), F.linear(x, weight, bias)),
            (F.conv2d(image, kernel, bias, activation=name), F.conv2d(image, kernel, bias)),
        ):
            expected = separate(plain).data
            bound = 8 * U * (1 + np.abs(expected.astype(np.float64)))
            assert_close(fused.data, expected, bound, what=f"fused {name} on {either}")
    with pytest.raises(ValueError, match="activation"):
        F.linear(x, weight, activation="sofmax")
    with pytest.raises(ValueError, match="activation must be None or 'relu', got 'tanh'"):
        F.batch_norm(x, None, None, training=True, activation="tanh")


def test_same_padding_puts_the_odd_pixel_at_the_end(either: str) -> None:
    x = neurona.arange(4).float().reshape(1, 1, 1, 4)
    y = F.conv2d(x, neurona.ones(1, 1, 1, 2), padding="same")
    assert y.flatten().tolist() == [1, 3, 5, 3]
    assert F.conv2d(x, neurona.ones(1, 1, 1, 4), padding="same").shape == x.shape
    assert F.conv2d(x, neurona.ones(1, 1, 1, 2), padding="valid").shape == (1, 1, 1, 3)


def test_max_pool2d_indices(either: str) -> None:
    x = neurona.tensor([[[1.0, 5.0, 5.0, 0.0], [2.0, 3.0, 4.0, 9.0]]])
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[5, 9]]] and indices.tolist() == [[[1, 7]]]
    assert indices.dtype == np.int64
    y, indices = F.min_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[1, 0]]] and indices.tolist() == [[[0, 3]]]
    assert F.max_pool2d(neurona.ones(1, 1, 4, 4), 1, 3, ceil_mode=True).shape == (1, 1, 2, 2)


def test_batch_norm_statistics(either: str) -> None:
    x = neurona.tensor([[1.0], [2.0], [3.0], [4.0]])
    mean, var = neurona.zeros(1), neurona.ones(1)
    y = F.batch_norm(x, mean, var, training=True, eps=0.0 + 1e-12, momentum=0.5)
    assert_close(y.data[:, 0], np.array([-1.34164, -0.44721, 0.44721, 1.34164]), 1e-5, what="bn y")
    assert_close(mean.data, np.array([1.25]), 1e-6, what="bn mean")
    assert_close(var.data, np.array([0.5 + 0.5 * 5 / 3]), 1e-6, what="bn unbiased variance")
    with pytest.raises(ValueError, match=r"more than 1 value per channel, got shape \(1, 3\)"):
        F.batch_norm(neurona.ones(1, 3), None, None, training=True)
    with pytest.raises(ValueError, match="must be given outside training"):
        F.batch_norm(x, None, None)


def test_dropout(either: str) -> None:
    x = neurona.ones(4, 250)
    neurona.manual_seed(1)
    y = F.dropout(x, 0.3)
    kept = (y != 0).float().mean().item()
    assert abs(kept - 0.7) < 0.05
    assert_close(y.max().data, np.array(1 / 0.7), 1e-6, what="dropout scale")
    neurona.manual_seed(1)
    assert_exact(F.dropout(x, 0.3).data, y.data, what="dropout seed")
    x.requires_grad = True
    neurona.manual_seed(1)
    F.dropout(x, 0.3).sum().backward()
    assert x.grad is not None
    assert_exact(x.grad.data, y.data, what="dropout gradient")
    before = neurona.get_rng_state()
    assert F.dropout(x, 0.3, training=False) is x and F.dropout(x, 0.0) is x
    assert neurona.get_rng_state() == before
    assert (F.dropout(x, 1.0) == 0).all()
    for bad, kind in ((-0.1, ValueError), (1.1, ValueError), (float("nan"), ValueError)):
        with pytest.raises(kind, match="dropout: p must be between 0 and 1"):
            F.dropout(x, bad)
    for text in ("0.5", None, True):
        with pytest.raises(TypeError, match="dropout: p must be a number"):
            F.dropout(x, text)  # type: ignore[arg-type]


def test_softmax_without_dim_warns() -> None:
    for function in (F.softmax, F.log_softmax):
        with pytest.warns(UserWarning, match="dim was not given; taking 1"):
            assert function(neurona.ones(2, 3)).shape == (2, 3)
    assert F.softmax(neurona.ones(2), 0, dtype=neurona.float32).dtype == np.float32
    with pytest.raises(ValueError, match="dim"):
        F.softmax(neurona.ones(2), 7)


def test_inplace_activations(either: str) -> None:
    for function in (F.relu, F.leaky_relu, F.silu):
        x = neurona.tensor([-1.0, 2.0], requires_grad=True)
        y = x * 1.0
        z = function(y, inplace=True)
        assert z is y
        z.sum().backward()
        twin = neurona.tensor([-1.0, 2.0], requires_grad=True)
        function(twin * 1.0).sum().backward()
        assert x.grad is not None and twin.grad is not None
        assert_exact(x.grad.data, twin.grad.data, what="inplace")
        with pytest.raises(RuntimeError, match="a leaf that requires grad"):
            function(x, inplace=True)
        with neurona.no_grad():
            assert function(x, inplace=True) is x


def test_plain_arrays_are_accepted(either: str) -> None:
    x = np.ones((2, 3), np.float32)
    assert F.relu(x).shape == (2, 3)  # type: ignore[arg-type]
    assert F.linear(x, np.ones((4, 3), np.float32)).shape == (2, 4)  # type: ignore[arg-type]
    assert F.cross_entropy(x, np.array([0, 2], np.uint8)).shape == ()  # type: ignore[arg-type]


def test_empty_batches(either: str) -> None:
    weight = neurona.ones(2, 3, requires_grad=True)
    y = F.linear(neurona.zeros(0, 3), weight)
    assert y.shape == (0, 2)
    y.sum().backward()
    assert weight.grad is not None and (weight.grad == 0).all()
    assert F.conv2d(neurona.zeros(0, 1, 4, 4), neurona.ones(2, 1, 3, 3)).shape == (0, 2, 2, 2)


# Losses.


def test_cross_entropy_rules(either: str) -> None:
    x = narrow(4, 3)
    logp = F.log_softmax(x, 1).data.astype(np.float64)
    weights = CLASS_WEIGHTS.float()
    expected = -(2 * logp[0, 1] + 0.5 * logp[1, 0] + 1 * logp[3, 2]) / 3.5
    got = F.cross_entropy(x, LABELS, weights, None, -100, None, "mean")
    assert_close(got.data, np.array(expected), 1e-6, what="cross_entropy weighted")
    nll = F.nll_loss(F.log_softmax(x, 1), LABELS, weights)
    assert_close(nll.data, np.array(expected), 1e-6, what="nll_loss weighted")
    for function in (F.cross_entropy, F.nll_loss):
        ignored = neurona.tensor([-100, -100])
        assert np.isnan(function(x[:2], ignored).item())
        assert function(x[:2], ignored, reduction="sum").item() == 0
        assert np.isnan(function(neurona.zeros(0, 3), neurona.zeros(0, dtype=np.int64)).item())
    for dtype in (np.int8, np.uint8, np.int32, np.int64):
        labels = neurona.tensor([1, 0, 2, 2], dtype=dtype)
        assert F.cross_entropy(x, labels).item() == F.cross_entropy(x, labels.long()).item()


@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_class_losses_refuse(function: Any, either: str) -> None:
    x = narrow(2, 3)
    for labels, first, position in (([0, 3], 3, 1), ([-1, 0], -1, 0), ([2**40, 0], 2**40, 0)):
        with pytest.raises(
            ValueError, match=f"target must be .*got {first} at position {position}"
        ):
            function(x, neurona.tensor(labels))
    for target in (neurona.tensor([0.0, 1.0]), [0, 1], None):
        with pytest.raises(TypeError, match="target"):
            function(x, target)
    with pytest.raises(ValueError, match=r"target must have shape \(2,\)"):
        function(x, neurona.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="reduction must be one of .*got 'avg'"):
        function(x, neurona.tensor([0, 1]), reduction="avg")
    with pytest.raises(ValueError, match="size_average must be None"):
        function(x, neurona.tensor([0, 1]), None, True)
    with pytest.raises(ValueError, match="weight"):
        function(x, neurona.tensor([0, 1]), neurona.ones(4))
    with pytest.raises(ValueError, match="weight"):
        function(x, neurona.tensor([0, 1]), neurona.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(TypeError, match="input must be a Tensor or an ndarray, got list"):
        function([[1.0]], neurona.tensor([0]))


def test_cross_entropy_refuses_more(either: str) -> None:
    x = narrow(2, 3, 2)
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(narrow(2, 3), neurona.tensor([0, 1]), label_smoothing=1.5)
    with pytest.raises(TypeError, match="probabilities of input's shape"):
        F.cross_entropy(x, neurona.ones(2, 2))
    with pytest.raises(ValueError, match=r"target must have shape \(2, 2\)"):
        F.cross_entropy(x, neurona.zeros(2, 3, dtype=np.int64))
    with pytest.raises(ValueError, match="must not require grad"):
        F.cross_entropy(narrow(2, 3), narrow(2, 3).requires_grad_())


def test_cross_entropy_after_softmax_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    target = neurona.tensor([0, 1])
    for function, name in ((F.softmax, "Softmax"), (F.log_softmax, "LogSoftmax")):
        monkeypatch.setattr(_shared, "_warned", set())
        x = narrow(2, 3).requires_grad_()
        with pytest.warns(UserWarning, match=f"input comes from {name}, but it must hold logits"):
            F.cross_entropy(function(x, 1), target)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            F.cross_entropy(function(x, 1), target)


def test_regression_losses_want_one_shape(either: str) -> None:
    for function in (F.mse_loss, F.l1_loss):
        with pytest.raises(ValueError, match=r"shape of input \(2, 1\), got shape \(2,\)"):
            function(neurona.ones(2, 1), neurona.ones(2))
        with pytest.raises(ValueError, match="reduction"):
            function(neurona.ones(2), neurona.ones(2), reduction="max")
        assert np.isnan(function(neurona.ones(0), neurona.ones(0)).item())
    x = neurona.tensor([1.0, -1.0, 2.0], requires_grad=True)
    F.l1_loss(x, neurona.tensor([1.0, 1.0, 1.0]), reduction="sum").backward()
    assert x.grad is not None and x.grad.tolist() == [0, -1, 1]


# Shapes and encodings.


def test_one_hot() -> None:
    assert_exact(F.one_hot(neurona.arange(4)).data, np.eye(4, dtype=np.int64), what="one_hot")
    labels = neurona.tensor(np.array([[0, 1], [2, 0]], np.uint8))
    y = F.one_hot(labels, 5)
    assert y.shape == (2, 2, 5) and y.dtype == np.int64
    assert_exact(y.argmax(-1).data, labels.data, what="one_hot inverse")
    for bad, text in (
        ((neurona.tensor([0, 3]), 3), r"0..2, got 3 at position \(1,\)"),
        ((neurona.tensor([-1]), 3), "got -1"),
        ((neurona.zeros(0, dtype=np.int64),), "must be given for an empty tensor"),
        ((neurona.tensor([0]), 0), "num_classes must be > 0"),
    ):
        with pytest.raises(ValueError, match=f"one_hot: .*{text}"):
            F.one_hot(*bad)
    with pytest.raises(TypeError, match="integer dtype, got float32"):
        F.one_hot(neurona.ones(2))


def test_pad_equals_numpy() -> None:
    x = narrow(2, 3, 4)
    widths = ((0, 0), (0, 2), (2, 1))
    for ours, numpys in (
        ("constant", "constant"),
        ("reflect", "reflect"),
        ("replicate", "edge"),
        ("circular", "wrap"),
    ):
        expected = np.pad(x.data, widths, mode=numpys)  # type: ignore[call-overload]
        assert_exact(F.pad(x, (2, 1, 0, 2), ours).data, expected, what=f"pad {ours}")


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (((1,),), "2 ints for each of 2 axes"),
        (((1, 1, 1, 1, 1, 1),), "2 ints for each of 2 axes"),
        (((-2, -2),), "must not cut more than axis 1"),
        (((1, 1), "mirror"), "mode must be one of"),
        (((3, 0), "reflect"), r"must be in 0..2 for mode 'reflect'"),
        (((4, 0), "circular"), "must be in 0..3"),
        (((-1, 0), "replicate"), "must be in 0.."),
        (((1, 1), "reflect", 2.0), "value must be None"),
    ],
)
def test_pad_refuses(arguments: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"pad: .*{rule}"):
        F.pad(neurona.ones(2, 3), *arguments)


@pytest.mark.parametrize("widths", [1, None, (1.5, 1), (True, 1), "12"])
def test_pad_wants_ints(widths: Any) -> None:
    with pytest.raises(TypeError, match="pad: pad must be a tuple of ints"):
        F.pad(neurona.ones(2, 3), widths)


def test_the_first_layer_computes_no_dx(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    data = ("conv2d_backward_data", "conv2d_backward", "linear_backward_data", "linear_backward")
    for name in data:
        kernel = getattr(ref, name)
        backend = vars(neurona.backends.named("reference"))
        monkeypatch.setitem(
            backend, name, lambda *a, k=kernel, n=name, **o: (called.append(n), k(*a, **o))[1]
        )
    weight = neurona.ones(1, 1, 2, 2, requires_grad=True)
    dense = neurona.ones(3, 9, requires_grad=True)
    with neurona.use_backend("reference"):
        y = F.conv2d(neurona.ones(1, 1, 4, 4), weight).flatten(1)
        F.linear(y, dense).sum().backward()
        assert called == ["linear_backward"]
        F.linear(neurona.ones(2, 9), dense).sum().backward()
        F.conv2d(
            neurona.ones(1, 1, 4, 4), weight.detach(), neurona.ones(1, requires_grad=True)
        ).sum().backward()
    assert called == ["linear_backward"]
