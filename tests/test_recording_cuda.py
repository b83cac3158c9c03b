"""`neurona.record` with the model on the device "cuda", on the emulated one: a captured graph."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
from conftest import DEVICES
from lenders import Lender, on_device
from neurona import nn, optim
from neurona.backends import cuda
from test_recording import (
    CASES,
    SCHEDULES,
    Residual,
    Training,
    adam,
    assert_same,
    batches,
    follow_schedule,
    lenet,
    mlp,
    pair,
    sgd,
    train_both,
)
from test_recording_refusals import Odd


@pytest.fixture(params=DEVICES, autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The emulated device under each of its schedules, or the GPU."""
    module = emulated.device_with(request.param)
    before = cuda.use_extension(module)
    yield module
    gc.collect()
    module.synchronize()
    cuda.use_extension(before)


def graph_of(training: Training) -> Any:
    (recording,) = training.step._recordings.values()
    return recording._graph


@pytest.mark.parametrize("case", CASES)
def test_the_bits_of_training_are_those_of_the_step(case: str) -> None:
    """Losses, parameters, gradients, buffers, running statistics and counts, step by step."""
    make_model, make_optimizer, shape = CASES[case]
    plain, fast = pair(make_model, make_optimizer, "cuda")
    train_both(plain, fast, batches(5, *shape))
    assert graph_of(fast) is not None


@pytest.mark.parametrize("name", SCHEDULES)
def test_numbers_of_the_optimizer_may_change_in_each_step(name: str) -> None:
    follow_schedule(*pair(mlp, SCHEDULES[name], "cuda"), batches(7, 7, 20))


def test_changes_and_other_shapes_begin_anew() -> None:
    plain, fast = pair(mlp, sgd, "cuda")
    train_both(plain, fast, [*batches(4, 7, 20), *batches(4, 3, 20), *batches(1, 7, 20, seed=9)])
    assert len(fast.step._recordings) == 2
    for training in (plain, fast):
        training.optimizer.param_groups[0].update(momentum=0.0, nesterov=False)
    train_both(plain, fast, batches(5, 7, 20))
    neurona.set_float32_matmul_precision("high")
    try:
        train_both(plain, fast, batches(5, 7, 20))
    finally:
        neurona.set_float32_matmul_precision("highest")
    train_both(plain, fast, batches(5, 7, 20))


def test_inputs_from_both_sides_and_new_results() -> None:
    """The loss is a tensor of its own on the device; inputs may lie there or not."""
    model = Residual().to("cuda").eval()
    predict = neurona.record(model)
    data = [x for x, _ in batches(6, 4, 3, 6, 6)]
    outputs = [predict(x) for x in data] + [predict(x.cuda()) for x in data]
    assert all(output.device == "cuda" and not output.requires_grad for output in outputs)
    for x, output in zip(data * 2, outputs, strict=True):
        assert np.array_equal(output.cpu().numpy(), model(x.cuda()).detach().cpu().numpy())
    assert [predict(neurona.zeros(0, 3, 6, 6)).shape for _ in range(5)] == [(0, 10)] * 5


def test_inputs_may_lie_in_memory_in_any_way() -> None:
    """As the step's own, beside whole vectors, in another order, backwards and in one place."""
    predict = neurona.record(Residual().to("cuda").eval())
    model = Residual().to("cuda").eval()
    model.load_state_dict(predict._model.state_dict())
    whole = batches(1, 9, 3, 6, 7)[0][0].cuda()
    last = neurona.Tensor(whole.data.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
    forms = [whole[:4], whole[3:7], last[:4], last[3:7], last[4:8, :, :, :6], whole[1:9:2]]
    forms += [whole[7:3:-1], neurona.Tensor(np.broadcast_to(whole.data[:1], (4, 3, 6, 7)))]
    for x in [*forms, *forms]:
        expected = model(x).detach().cpu().numpy()
        assert np.array_equal(predict(x).cpu().numpy(), expected), x.data.strides


@pytest.mark.parametrize("count", [1, 8, 9, 20])
def test_any_number_of_inputs(device: Any, count: int) -> None:
    """More than travel with one kernel."""
    recording = device.Recording()
    own = [device.to_device(np.zeros(5, np.float32)) for _ in range(count)]
    recording.start()
    sums = [own[0]]
    for array in own:
        sums.append(device.add(sums[-1], array))
    recording.stop()
    graph = recording.capture(own, sums[-1])
    for values in np.random.default_rng(0).integers(-9, 9, (3, count, 5)).astype(np.float32):
        result = graph.launch([device.to_device(array) for array in values])
        assert np.array_equal(device.to_host(result), values[0] + values.sum(0))
    with pytest.raises(ValueError, match=f"inputs must be {count} arrays, got {count + 1}"):
        graph.launch([*own, own[0]])
    with pytest.raises(ValueError, match="dtypes and shapes of the step's, got float32 of shape"):
        graph.launch([device.to_device(np.zeros(6, np.float32))] * count)


def test_any_number_of_draws() -> None:
    """More of their offsets than travel with one kernel."""

    def many() -> nn.Module:
        return nn.Sequential(*[nn.Dropout(0.1) for _ in range(20)], nn.Linear(20, 10))

    train_both(*pair(many, adam, "cuda"), batches(6, 7, 20))


def test_wrong_labels_raise_late() -> None:
    """The step is made, its wrong samples ignored; the error comes when the host next waits."""
    plain, fast = pair(mlp, sgd, "cuda")
    x, y = batches(1, 7, 20)[0]
    ignored, wrong = y.numpy().copy(), y.numpy().copy()
    ignored[[2, 5]] = -100
    wrong[2], wrong[5] = 99, -3
    train_both(plain, fast, [(x, y)] * 4)
    message = r"target must be in 0\.\.9 .* got 99 at position 2"

    expected = plain.step(x, neurona.tensor(ignored))
    loss = fast.step(x, neurona.tensor(wrong))
    with pytest.raises(ValueError, match=message):
        loss.item()
    assert loss.item() == expected.item()  # once said, it is said
    assert_same(plain, fast)
    train_both(plain, fast, [(x, y)] * 2)

    waits: list[Any] = [neurona.cuda.synchronize]
    if not emulated.ON_A_GPU:  # where the next call may come before the error
        waits.append(lambda: fast.step(x, y))
    for wait in waits:
        plain.step(x, neurona.tensor(ignored))
        fast.step(x, neurona.tensor(wrong))
        with pytest.raises(ValueError, match=message):
            wait()
        assert_same(plain, fast)


def test_the_first_wrong_step_is_the_one_that_is_named() -> None:
    """Also when the host only looks after others."""
    _, fast = pair(mlp, sgd, "cuda")
    x, y = batches(1, 7, 20)[0]
    for _ in range(3):
        fast.step(x, y)
    (recording,) = fast.step._recordings.values()
    for labels in ([0, 1, 99, 3, 4, 5, 6], [77] * 7, [0] * 7):
        recording._copy_inputs((x, neurona.tensor(labels)))
        recording._graph.launch()
    with pytest.raises(ValueError, match="got 99 at position 2"):
        neurona.cuda.synchronize()
    neurona.cuda.synchronize()


def test_wrong_labels_raise_at_once_while_recording() -> None:
    """The first three calls wait for the device anyway."""
    for position in range(3):
        plain, fast = pair(mlp, sgd, "cuda")
        data = batches(7, 7, 20)
        train_both(plain, fast, data[:position])
        for training in (plain, fast):
            with pytest.raises(ValueError, match="position 0"):
                training.step(data[0][0], neurona.tensor(np.full(7, 99)))
        assert_same(plain, fast)
        train_both(plain, fast, data[position:])


def test_a_loan_given_back_keeps_the_error() -> None:
    """Dropping another library's array waits for the kernels, and nobody hears of it."""
    _, fast = pair(mlp, sgd, "cuda")
    x, y = batches(1, 7, 20)[0]
    wrong = y.numpy().copy()
    wrong[2] = 99
    for _ in range(3):
        fast.step(x, y).item()
    borrowed = neurona.from_dlpack(Lender(on_device(5)))
    fast.step(x, neurona.tensor(wrong))
    del borrowed
    gc.collect()
    with pytest.raises(ValueError, match="got 99 at position 2"):
        neurona.cuda.synchronize()


def test_class_weights_are_checked_late() -> None:
    weight = neurona.ones(10).cuda()
    model = mlp().to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = neurona.record(model, nn.CrossEntropyLoss(weight), optimizer)
    x, y = batches(1, 7, 20)[0]
    for _ in range(4):
        step(x, y)
    neurona.cuda.synchronize()
    weight[3] = -1.0
    step(x, y)
    with pytest.raises(ValueError, match="weight must be >= 0 for every class, got -1 for class 3"):
        neurona.cuda.synchronize()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("dropout", "must draw from the default generator"),
        ("number", "kernels alone do not give the step's results"),
        ("item", "must not call sum|must not call item"),
        ("order", "linear_forward is not repeatable: an array had to be copied"),
    ],
)
def test_what_cannot_be_repeated_is_named(form: str, message: str) -> None:
    predict, data = neurona.record(Odd(form).to("cuda")), batches(4, 4, 20)
    with pytest.raises(RuntimeError, match=f"record: .*({message})"):
        for x, _ in data:
            predict(x)


@contextlib.contextmanager
def repeated_by_a_thread(work: Callable[[], None]) -> Iterator[None]:
    """Work is done again and again until the block ends."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_others_compute_while_a_step_is_recorded() -> None:
    """On the device and on the host: what other threads do is no part of the graph."""
    plain, fast = pair(mlp, sgd, "cuda")
    host, there = mlp(), mlp().to("cuda")
    ((x, _),) = batches(1, 4, 20)
    expected = [model(x.to(model[0].weight.device)).cpu().tolist() for model in (host, there)]
    wrong: list[int] = []

    def work() -> None:
        for i, model in enumerate((host, there)):
            if model(x.to(model[0].weight.device)).cpu().tolist() != expected[i]:
                wrong.append(i)

    with repeated_by_a_thread(work):
        for seed in range(3):
            train_both(plain, fast, batches(5, 5 + seed, 20))
    assert wrong == [] and len(fast.step._recordings) == 3


def test_readers_end_while_a_step_is_recorded() -> None:
    """Who gives lent memory back may wait for the whole device, which no capture survives."""
    plain, fast = pair(lenet, sgd, "cuda")
    lent = neurona.ones(4).to("cuda")

    def work() -> None:
        lent.__dlpack__(stream=2)  # a stream that is not ours

    with repeated_by_a_thread(work):
        for seed in range(4):
            train_both(plain, fast, batches(3, 5 + seed, 3, 8, 8))
    assert len(fast.step._recordings) == 4


def noted_pooling(device: Any, recording: Any, spoiled: np.ndarray) -> tuple[Any, Any]:
    """A noted backward pass for windows of 2 x 2 in 4 x 4: its gradient, and what it works on."""
    dy = device.to_device(np.ones((1, 2, 2, 2), np.float32)).transpose(0, 3, 1, 2)
    x = device.to_device(np.ones((1, 4, 4, 2), np.float32)).transpose(0, 3, 1, 2)
    _, offsets = device.max_pool2d_forward(x, 2)
    recording.start()
    dx = device.max_pool2d_backward(dy, offsets, 4, 2)
    recording.stop()
    assert recording.refusal == ""
    device.copy_into(offsets, device.to_device(spoiled))
    return dx, (dy, offsets)


def test_wrong_offsets_raise_late_and_the_first_call_is_named(device: Any) -> None:
    """Each check is ready again for the next launch."""
    right, wrong = np.zeros((1, 2, 2, 2), np.uint8), np.uint8([[[[0, 3], [0, 9]], [[7, 0]] * 2]])
    recording = device.Recording()
    steps = [noted_pooling(device, recording, offsets) for offsets in (right, wrong, wrong + 1)]
    graph = recording.capture()
    for _ in range(2):
        graph.launch()
        with pytest.raises(ValueError, match=r"got 7 at \(0, 1, 0, 0\)"):
            device.synchronize()
        dx = device.to_host(steps[1][0])[0]  # where nobody gets what the wrong ones had
        assert np.argwhere(dx).tolist() == [[0, 0, 0], [0, 1, 3], [0, 2, 0], [1, 0, 2], [1, 2, 2]]
    for _, (_, offsets) in steps:
        device.copy_into(offsets, device.to_device(right))
    graph.launch()
    device.synchronize()


def test_of_any_number_of_checks_the_first_is_named(device: Any) -> None:
    """More than one kernel's parameters hold."""
    right, recording = np.zeros((1, 2, 2, 2), np.uint8), device.Recording()
    steps = [noted_pooling(device, recording, right) for _ in range(300)]
    graph = recording.capture()
    for i, value in ((299, 9), (140, 8), (130, 7), (3, 6)):
        device.copy_into(steps[i][1][1], device.to_device(right + np.uint8(value)))
        graph.launch()
        with pytest.raises(ValueError, match=f"got {value} at"):
            device.synchronize()


# What a step notes: an optimizer's kernel (o), which takes the result out when it is the last one,
# or losses and their check (l).
@pytest.mark.parametrize("order", ["lo", "ol", "lol", "loo", "o", "l"])
@pytest.mark.parametrize("rows", [3, 1025])
def test_the_result_is_taken_out_whatever_ends_the_step(device: Any, order: str, rows: int) -> None:
    """By the optimizer's kernel, by one behind it, and of results too large for one block."""
    rng = np.random.default_rng(rows)
    right = np.arange(rows) % 4
    wrong = np.where(np.arange(rows) == 2, 7, right)
    x = device.to_device(rng.standard_normal((rows, 4)).astype(np.float32))
    labels = device.to_device(right)
    weight, gradient = (device.to_device(np.full(9, value, np.float32)) for value in (8, 1))
    recording, results = device.Recording(), []
    recording.start()
    for kind in order:
        if kind == "o":
            device.sgd_step([weight], [gradient], None, lr=1.0)
        else:
            results.append(device.cross_entropy_forward(x, labels, reduction="none"))
    recording.stop()
    assert recording.refusal == ""
    losses = [device.to_host(result[0]) for result in results]
    graph = recording.capture([], *[result[0] for result in results[-1:]])
    for given in (right, wrong, right):
        device.copy_into(labels, device.to_device(given))
        result = graph.launch([])
        if given is wrong and results:
            with pytest.raises(ValueError, match="got 7 at position 2"):
                device.synchronize()
        device.synchronize()
        if results:
            expected = np.where(given == 7, 0, losses[-1])
            assert np.array_equal(device.to_host(result), expected)
    assert (device.to_host(weight) == 8 - 4 * order.count("o")).all()


class Both(nn.Module):
    """A layer on the device and an addition on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 10)
        self.numbers = [neurona.ones(3), neurona.ones(3)]

    def forward(self, x: Any) -> Any:
        _ = self.numbers[0] + self.numbers[1]
        return self.linear(x)


def test_a_step_on_both_sides_is_refused() -> None:
    predict = neurona.record(Both().to("cuda"))
    with pytest.raises(RuntimeError, match="must not call add on the device 'cpu'"):
        for x, _ in batches(3, 4, 20):
            predict(x)


def test_the_memory_of_a_graph_is_its_own_and_goes_back(device: Any) -> None:
    """Between the launches others allocate, fill and free; a dropped step leaves nothing behind."""
    if emulated.ON_A_GPU:
        pytest.skip("asks the emulation how much memory is in use")
    train_both(*pair(lenet, adam, "cuda"), batches(1, 5, 3, 8, 8))  # what stays for good is there
    gc.collect()
    before = device.memory_in_use()
    plain, fast = pair(lenet, adam, "cuda")
    for batch in batches(6, 5, 3, 8, 8):
        train_both(plain, fast, [batch])
        for size in (1, 64, 1000, 5000):
            neurona.Tensor(np.full(size, np.nan, np.float32)).cuda()
    assert device.memory_in_use() > before
    del plain, fast
    gc.collect()
    assert device.memory_in_use() == before
