"""What is one launch on the device: each costs a GPU some microseconds, however little it does.

Sums over blocks are finished by the block that comes last, which differs between the schedules of
the emulation, and between runs of a GPU; their bits must not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
import neurona.reference as reference
from compare import assert_close
from conftest import DEVICES
from neurona import nn, optim
from neurona.backends import cuda
from neurona.bench.peers import models
from neurona.nn import fusion


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    """The emulated device under each of its schedules, or the GPU."""
    return emulated.device_with(request.param)


def launched(device: Any, call: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """What the call returns, and how many kernels it launched; one on a GPU, which does not say."""
    if emulated.ON_A_GPU:
        return call(*arguments), 1
    before = device.launches()
    return call(*arguments), device.launches() - before


def matrices() -> Iterator[tuple[int, int]]:
    """Rows and columns around those at which a block takes other columns, or another block rows."""
    yield from itertools.product((0, 1, 7, 300), (1, 3, 8, 9, 16, 17, 32, 33, 100))
    yield from itertools.product((1023, 1024, 1025, 5000), (6, 8))
    yield from itertools.product((511, 512, 513), (10, 16))
    yield from itertools.product((255, 256, 257, 1031), (17, 64, 65))


def test_column_sums_are_one_launch(device: Any) -> None:
    for rows, columns in matrices():
        rng = np.random.default_rng(rows * 1000 + columns)
        dy = rng.integers(-9, 10, (rows, columns, 1, 1)).astype(np.float32)
        there = device.to_device(dy)
        sums, launches = launched(device, device.conv2d_backward_bias, there)
        assert np.array_equal(device.to_host(sums), dy.sum((0, 2, 3))), (rows, columns)
        assert launches == 1, (rows, columns)


@pytest.mark.parametrize("count", [0, 1, 2048, 2049, 9000, 2048 * 513])
def test_sums_of_many_terms_are_one_launch(device: Any, count: int) -> None:
    x = np.arange(count, dtype=np.float32) % 5
    there = [device.to_device(a) for a in (x, np.zeros_like(x))]
    loss, launches = launched(
        device, lambda: device.pointwise_loss_forward(*there, "l1", reduction="sum")[0]
    )
    assert device.to_host(loss) == x.sum(dtype=np.float64) and launches == 1


def test_what_lies_dense_comes_home_without_a_launch(device: Any) -> None:
    """In C order, or channels-last; other strides are put in order on the device."""
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    there = device.to_device(x)
    channels_last = device.to_device(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    for view, expected, most in (
        (there, x, 0), (there[1], x[1], 0), (there[0, 0, 0, :1], x[0, 0, 0, :1], 0),
        (np.moveaxis(channels_last, -1, 1), x, 0), (there[:, :, 1:], x[:, :, 1:], 1),
        (there[..., ::-1], x[..., ::-1], 1), (there.T, x.T, 1),
    ):  # fmt: skip
        home, launches = launched(device, device.to_host, view)
        assert np.array_equal(home, expected)
        assert launches == most or emulated.ON_A_GPU


@pytest.mark.parametrize("labels", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize(("n", "c"), [(1, 1), (128, 10), (257, 33), (2048, 32), (30, 1025)])
def test_losses_of_few_rows_are_one_launch(device: Any, n: int, c: int, labels: type) -> None:
    """Labels, their check, the sum of the weights, gradients and the sum of the losses."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, c)).astype(np.float32)
    y = rng.integers(0, min(c, 200), n).astype(labels)
    there = [device.to_device(x), device.to_device(y)]
    for op in ("cross_entropy_forward", "focal_loss_forward"):
        (loss, dx), launches = launched(device, getattr(device, op), *there)
        expected = getattr(reference, op)(x.astype(np.float64), y)
        assert_close(device.to_host(loss), expected[0], bound=1e-5, what=op)
        assert_close(device.to_host(dx), expected[1], bound=1e-6, what=op)
        assert launches == 1


@pytest.mark.parametrize("case", [(128, 84, 10), (33, 12, 20), (5, 1, 3), (500, 40, 36)], ids=str)
def test_gradients_of_a_small_linear_layer_are_one_launch(
    device: Any, case: tuple[int, int, int]
) -> None:
    """With the bits of the products and the sums as they are by themselves."""
    n, wide, out = case
    rng = np.random.default_rng(n)
    there = [
        device.to_device(rng.standard_normal(s).astype(np.float32))
        for s in ((n, out), (n, wide), (out, wide))
    ]
    dy, x, weight = there
    (dx, dw, db), launches = launched(device, device.linear_backward, dy, x, weight)
    assert launches == 1
    products = [device.gemm(dy, weight), device.gemm(dy, x, trans_a=True)]
    for got, expected in zip((dx, dw), products, strict=True):
        assert np.array_equal(device.to_host(got), device.to_host(expected))
    sums = device.to_host(dy).sum(0, dtype=np.float64)
    assert_close(device.to_host(db), sums, bound=1e-5, what=f"linear {case}")
    (dw_alone, db_alone), launches = launched(device, device.linear_backward_weight, dy, x)
    assert launches == 1
    assert np.array_equal(device.to_host(dw_alone), device.to_host(dw))
    assert np.array_equal(device.to_host(db_alone), device.to_host(db))


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "groups"),
    [((3, 1, 28, 28), (6, 1, 5, 5), 1), ((6, 6, 14, 14), (16, 6, 5, 5), 1)]
    + [((2, 4, 21, 20), (10, 2, 3, 3), 2), ((5, 4, 12, 12), (12, 2, 1, 1), 2)],
)
def test_the_bias_of_a_narrow_convolution_takes_no_launch(
    device: Any, x_shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int
) -> None:
    """Its gradient comes with that of the filters, whose bits are the same without it."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal(x_shape).astype(np.float32)
    weight = np.zeros(w_shape, np.float32)
    dy = rng.standard_normal(
        reference.conv2d_forward(x, weight, groups=groups).shape, dtype=np.float32
    )
    there = device.to_device(dy), device.to_device(x)

    def gradients(with_bias: bool) -> Any:
        return device.conv2d_backward_weight(
            *there, w_shape[2:], groups=groups, with_bias=with_bias
        )

    (dw, db), launches = launched(device, gradients, True)
    (alone, none), launches_alone = launched(device, gradients, False)
    assert launches == launches_alone and none is None
    assert np.array_equal(device.to_host(dw), device.to_host(alone))
    exact = dy.sum((0, 2, 3), dtype=np.float64)
    assert_close(device.to_host(db), exact, bound=1e-5, what=f"bias of {w_shape}")


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "padding", "expected"),
    [
        ((128, 6, 14, 14), (16, 6, 5, 5), 0, 1),
        ((3, 4, 16, 13), (9, 4, 3, 3), (2, 1), 1),
        ((1, 9, 40, 36), (7, 9, 4, 5), 1, 1),
        ((4, 3, 15, 60), (16, 3, 3, 3), 1, 1),
        ((128, 1, 28, 28), (6, 1, 5, 5), 0, 2),
        ((300, 6, 14, 14), (16, 6, 5, 5), 0, 2),
    ],
    ids=str,
)
def test_gradients_of_a_small_convolution_are_one_launch(
    device: Any, x_shape: tuple[int, ...], w_shape: tuple[int, ...], padding: Any, expected: int
) -> None:
    """With the bits that dx and dw have by themselves; not of a first layer or of large batches."""
    rng = np.random.default_rng(x_shape[0])
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, w_shape))
    shape = reference.conv2d_forward(x, weight, padding=padding).shape
    dy = rng.standard_normal(shape).astype(np.float32)
    images = [array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) for array in (dy, x)]
    there = [device.to_device(array) for array in (*images, weight)]

    def at_once() -> Any:
        return device.conv2d_backward(*there, padding=padding)

    (dx, dw, db), launches = launched(device, at_once)
    assert launches == (1 if emulated.ON_A_GPU else expected)
    alone = device.conv2d_backward_data(there[0], there[2], x_shape[2:], padding=padding)
    assert np.array_equal(device.to_host(dx), device.to_host(alone))
    filters, _ = device.conv2d_backward_weight(*there[:2], w_shape[2:], padding=padding)
    assert np.array_equal(device.to_host(dw), device.to_host(filters))
    exact = dy.sum((0, 2, 3), dtype=np.float64)
    assert_close(device.to_host(db), exact, bound=1e-7 * np.abs(exact).max(), what=f"{w_shape}")


@pytest.mark.parametrize(("name", "most"), [("mlp256", 7), ("lenet5", 19)])
def test_a_recorded_step_is_so_many_launches(device: Any, name: str, most: int) -> None:
    """With the one that brings inputs and numbers, and the one that takes the loss."""
    before = cuda.use_extension(device)
    try:
        shape, _ = models.NETWORKS[name]
        network = models.build(nn, name)
        network.to("cuda")
        optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        step = neurona.record(network, nn.CrossEntropyLoss(), optimizer)
        x, y = neurona.randn(128, *shape).to("cuda"), (neurona.arange(128) % 10).to("cuda")
        for _ in range(3):
            step(x, y)
        assert launched(device, step, x, y)[1] <= most
    finally:
        cuda.use_extension(before)


def test_a_relu_before_a_pooling_gives_the_same_bits_in_each_place(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the pooling, in the layer's kernel, and there with its gradient in the pooling's."""
    before = cuda.use_extension(device)
    try:
        model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        model.to("cuda")
        x = neurona.randn(2, 3, 9, 7).to("cuda")
        results = []
        one_node = fusion._is_one_node

        def step() -> Any:
            y = model(x)
            (y * y).sum().backward()
            return y

        for few, together in ((0, False), (1 << 20, False), (0, True)):
            monkeypatch.setattr(fusion, "_FEW_ON_DEVICE", few)
            choice = one_node if together else lambda *_: False
            monkeypatch.setattr(fusion, "_is_one_node", choice)
            model.zero_grad()
            y, launches = launched(device, step)
            gradients = [parameter.grad for parameter in model.parameters()]
            results.append([launches, *(a.detach().cpu().numpy() for a in (y, *gradients))])
        for other in results[1:]:
            assert all(map(np.array_equal, results[0][1:], other[1:]))
        assert results[2][0] < results[1][0] < results[0][0] or emulated.ON_A_GPU
    finally:
        cuda.use_extension(before)


class Doubled(nn.Linear):
    """A layer of one's own, which computes something else."""

    def forward(self, input: neurona.Tensor) -> neurona.Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 5)],
        lambda: [nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 8, bias=False), nn.ReLU()],
        lambda: [nn.Linear(7, 8), nn.ReLU(), Doubled(8, 6), nn.ReLU(), nn.Linear(6, 2)],
        lambda: [nn.Tanh(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh()],
    ],
)
def test_linear_layers_give_the_same_bits_as_one_node(
    device: Any, layers: Callable[[], list[nn.Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the gradients of the ReLUs between them, also where x needs one or a weight none."""
    before = cuda.use_extension(device)
    try:
        model = nn.Sequential(*layers()).to("cuda")
        images = neurona.randn(33, 7).to("cuda")
        are_one_node = fusion._are_one_node
        for frozen, wanted in itertools.product((False, True), repeat=2):
            next(iter(model.parameters())).requires_grad_(not frozen)
            results = []
            for together in (False, True):
                choice = are_one_node if together else lambda *_: False
                monkeypatch.setattr(fusion, "_are_one_node", choice)
                model.zero_grad()
                x = images.detach().requires_grad_(wanted)
                y = model(x)
                (y * y).sum().backward()
                gradients = [p.grad for p in (*model.parameters(), x) if p.grad is not None]
                results.append([a.detach().cpu().numpy() for a in (y, *gradients)])
            assert len(results[0]) == len(results[1]) >= 3
            assert all(map(np.array_equal, *results))
    finally:
        cuda.use_extension(before)


def test_linear_layers_that_do_not_fit_are_named(device: Any) -> None:
    """Also those that would be one node."""
    before = cuda.use_extension(device)
    try:
        model = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(8, 5)).to("cuda")
        with pytest.raises(ValueError, match=r"Linear '2': expected input \(\*, 8\), got \(3, 9\)"):
            model(neurona.ones(3, 7, device="cuda"))
    finally:
        cuda.use_extension(before)


def test_errors_of_one_node_are_not_lost(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its layers one after the other do not say is raised as it came."""

    def fail(*_: Any) -> Any:
        raise ValueError("no such luck")

    for name in ("linear_chain", "conv2d_relu_max_pool2d"):
        monkeypatch.setattr(fusion, name, fail)
    before = cuda.use_extension(device)
    try:
        dense = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 5)).to("cuda")
        images = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)).to("cuda")
        for model, shape in ((dense, (3, 7)), (images, (2, 1, 9, 9))):
            with pytest.raises(ValueError, match="no such luck"):
                model(neurona.ones(*shape, device="cuda"))
    finally:
        cuda.use_extension(before)
