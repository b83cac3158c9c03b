"""Tensors and models on the device "cuda", on the emulated one: the same results as on the CPU."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import neurona
from neurona import nn, optim
from neurona.backends import DeviceArray, cuda
from neurona.backends.device_array import _is_view
from neurona.nn import functional as F


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The emulated device in the place of a GPU, or the GPU."""
    before = cuda.use_extension(emulated.device_module())
    yield
    cuda.use_extension(before)


def images(*shape: int) -> neurona.Tensor:
    """Normal numbers."""
    return neurona.Tensor(np.random.default_rng(1).standard_normal(shape).astype(np.float32))


def test_there_and_back() -> None:
    """A tensor keeps its values, shape, order and dtype; nothing is copied that is there."""
    for x in (images(2, 3), images(2, 3, 4, 5), neurona.arange(5), neurona.tensor([True, False])):
        there = x.to("cuda")
        assert (there.device, there.shape, there.dtype) == ("cuda", x.shape, x.dtype)
        assert np.array_equal(there.cpu().numpy(), x.numpy())
        assert there.cuda() is there and x.cpu() is x
    last = neurona.Tensor(np.moveaxis(np.ones((2, 4, 5, 3), np.float32), -1, 1))
    assert last.cuda().data.strides == last.data.strides


def test_what_cannot_be_done_says_so() -> None:
    """No silent copies, no crash: the message names what to do."""
    x = images(2, 3).cuda()
    with pytest.raises(TypeError, match=r"cpu\(\)"):
        x.numpy()
    with pytest.raises(TypeError, match=r"cpu\(\)"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"numpy\.exp.*cpu\(\)"):
        x.exp()
    with pytest.raises(TypeError, match=r"cpu\(\)"):
        x[neurona.tensor([0, 1])]
    with pytest.raises((BufferError, RuntimeError), match="device"):
        np.from_dlpack(x)
    with pytest.raises(TypeError, match="float64"):
        images(2).double().cuda()
    with pytest.raises(ValueError, match="'cpu' or 'cuda'"):
        images(2).to("mps")
    with pytest.raises(TypeError, match="must lie in the device's memory"):
        x + images(2, 3)
    with pytest.raises(RuntimeError, match="host only"), neurona.verify():
        x + x


def test_views_and_single_elements() -> None:
    """Basic indices are views of the same memory, also of no axes at all."""
    host = images(4, 5, 6)
    there = host.cuda()
    for index in (0, (1, 2), (1, 2, 3), slice(None, None, -2), (..., 1), (None, 2)):
        assert np.array_equal(there[index].cpu().numpy(), host[index].numpy()), index
    assert there[1, 2, 3].item() == host[1, 2, 3].item()
    turned = there.permute(2, 0, 1).reshape(6, 20)
    assert np.array_equal(turned.cpu(), host.permute(2, 0, 1).reshape(6, 20))
    shifted = there.clone()
    shifted[1:] = shifted[:-1]  # the same memory
    shifted[:, ::-1][:2] = shifted[1:3]
    moved = host.numpy().copy()
    moved[1:] = moved[:-1].copy()
    moved[:, ::-1][:2] = moved[1:3].copy()
    assert np.array_equal(shifted.cpu().numpy(), moved)
    there[0] = 2.0
    there[1] = there[2]
    assert there[0].cpu().numpy().min() == 2 and np.array_equal(there[1].cpu(), host[2])
    assert "device='cuda'" in repr(there)


MAKERS: dict[str, Any] = {
    "zeros": lambda **k: neurona.zeros(2, 3, **k),
    "ones": lambda **k: neurona.ones((2, 3), dtype=np.int64, **k),
    "full": lambda **k: neurona.full((2, 3), 1.5, **k),
    "arange": lambda **k: neurona.arange(5, **k),
    "linspace": lambda **k: neurona.linspace(0, 1, 5, **k),
    "eye": lambda **k: neurona.eye(2, 3, **k),
    "rand": lambda **k: neurona.rand(2, 3, generator=neurona.Generator(3), **k),
    "randn": lambda **k: neurona.randn(2, 3, generator=neurona.Generator(3), **k),
    "randint": lambda **k: neurona.randint(9, (4,), generator=neurona.Generator(3), **k),
    "randperm": lambda **k: neurona.randperm(7, generator=neurona.Generator(3), **k),
}


@pytest.mark.parametrize("name", MAKERS)
def test_new_tensors_are_made_where_they_are_wanted(name: str) -> None:
    """The same numbers on either device."""
    here, there = MAKERS[name](), MAKERS[name](device="cuda")
    assert (here.device, there.device) == ("cpu", "cuda")
    assert here.dtype == there.dtype and np.array_equal(here.numpy(), there.cpu().numpy())
    with pytest.raises(ValueError, match=f"{name}: device must be 'cpu' or 'cuda', got 'tpu'"):
        MAKERS[name](device="tpu")


def test_tensors_like_others_are_where_those_are() -> None:
    """With their layout: those of images are channels-last."""
    there = images(2, 3, 4, 5).to("cuda")
    assert there.data.strides == neurona.zeros_like(there).data.strides
    for like, value in ((neurona.zeros_like, 0), (neurona.ones_like, 1)):
        assert like(there).device == "cuda" and (like(there).cpu().numpy() == value).all()
        assert like(there, device="cpu").device == "cpu"
        assert like(there.cpu(), device="cuda").device == "cuda"
    assert (neurona.full_like(there, 7.0).cpu().numpy() == 7).all()
    assert neurona.empty_like(there).shape == there.shape
    assert neurona.zeros_like(there, requires_grad=True).requires_grad
    assert neurona.ones(3, device="cuda", requires_grad=True).requires_grad
    assert neurona.empty(3, device="cuda").device == "cuda"


INTEGERS = ["bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_become_floats_on_the_device(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded as NumPy rounds, in every layout, and without a way over the host."""
    bits = np.random.default_rng(1).integers(0, 256, 3 * 5 * 7 * 8 * 8, np.uint8)
    host = bits.view("uint8" if dtype == "bool" else dtype)
    host = (host % 2 == 1) if dtype == "bool" else host
    block = host[: 3 * 5 * 7 * 8].reshape(3, 5, 7, 8)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(block, 1, -1)), -1, 1)
    arrays = [
        host,
        host[:0],
        host[:1].reshape(()),
        host[1:1000],
        block,
        last,
        block.transpose(0, 2, 1, 3),
    ]
    views = [block[:, ::2], block[0, 0].T, host[::-1]]
    there = [DeviceArray.from_host(array) for array in arrays]
    there += [there[4][:, ::2], there[4][0, 0].T, there[0][::-1]]
    converted = []
    with monkeypatch.context() as patch:
        patch.setattr(DeviceArray, "numpy", lambda self: pytest.fail("by way of the host"))
        converted = [neurona.Tensor(array).float() for array in there]
    for result, array in zip(converted, arrays + views, strict=True):
        assert result.device == "cuda" and result.dtype == np.float32
        assert np.array_equal(result.cpu().numpy(), array.astype(np.float32))
    assert converted[5].data.strides == last.astype(np.float32, order="K").strides


def test_what_can_be_a_view_of_another_shape() -> None:
    """As NumPy decides it; versions before 2.1 copy first, which nobody may here."""
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("NumPy cannot be asked")
    random = np.random.default_rng(1)
    for _ in range(1000):
        array = np.empty(random.choice([1, 2, 3, 4], random.integers(0, 5)))
        array = array.transpose(random.permutation(array.ndim))
        array = array[tuple(slice(None, None, int(random.choice([1, 1, 2, -1])))
                            for _ in range(array.ndim))]  # fmt: skip
        sizes, left = [], array.size
        while left > 1:
            sizes.append(int(random.choice([k for k in range(1, left + 1) if left % k == 0])))
            left //= sizes[-1]
        try:
            np.reshape(array, sizes, copy=False)
            expected = True
        except ValueError:
            expected = False
        assert _is_view(array, sizes) is expected, (array.shape, array.strides, sizes)


def test_others_can_read_the_memory() -> None:
    """`__cuda_array_interface__`, version 3: shape, type, address and strides of the array."""
    array = images(2, 3, 4).cuda().data
    told = array.__cuda_array_interface__
    assert told["shape"] == (2, 3, 4) and told["typestr"] == "<f4" and told["version"] == 3
    assert told["strides"] is None and told["data"][1] is False and told["data"][0] % 256 == 0
    column = array[:, 1].__cuda_array_interface__
    assert column["strides"] == (48, 4) and column["data"][0] == told["data"][0] + 16


def networks() -> dict[str, Any]:
    """Small networks that reach every layer with kernels of its own."""
    return {
        "mlp": (nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10)), (6, 20)),
        "lenet": (
            nn.Sequential(
                nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3),
                nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4, 10),
            ),
            (5, 1, 12, 12),
        ),
        "vgg": (
            nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GELU(), nn.MaxPool2d(2),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 10),
            ),
            (4, 3, 8, 8),
        ),
        "up": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.SiLU(), nn.Upsample(scale_factor=2),
                nn.ConvTranspose2d(4, 3, 2, stride=2), nn.LeakyReLU(), nn.Flatten(),
                nn.Linear(3 * 12 * 12, 10),
            ),
            (3, 2, 6, 6),
        ),
    }  # fmt: skip


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
}


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("mlp", "sgd"), ("lenet", "adam"), ("vgg", "sgd"), ("up", "adamw"), ("mlp", "rmsprop"),
     ("mlp", "nadam")],
)  # fmt: skip
def test_training_is_that_of_the_cpu(name: str, optimizer: str) -> None:
    """Five steps of the same network on both: losses and weights agree to rounding."""
    neurona.manual_seed(3)
    network, shape = networks()[name]
    models = {"cpu": network, "cuda": copy.deepcopy(network).to("cuda")}
    x, y = images(*shape), neurona.tensor(np.arange(shape[0]) % 10)
    losses: dict[str, list[float]] = {}
    for device, model in models.items():
        neurona.manual_seed(4)  # the same dropout
        step = OPTIMIZERS[optimizer](model.parameters())
        for _ in range(5):
            loss = F.cross_entropy(model(x.to(device)), y.to(device), label_smoothing=0.1)
            step.zero_grad()
            loss.backward()
            step.step()
            losses.setdefault(device, []).append(loss.item())
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=2e-4)
    assert losses["cpu"][-1] < losses["cpu"][0]
    for ours, theirs in zip(*(m.parameters() for m in models.values()), strict=True):
        assert type(theirs.data) is DeviceArray
        assert np.allclose(ours.numpy() if not ours.requires_grad else ours.detach().numpy(),
                           theirs.detach().cpu().numpy(), atol=2e-4)  # fmt: skip


@pytest.mark.parametrize(("precision", "bound"), [("high", 1e-3), ("medium", 1e-2)])
def test_rounded_products_train_as_well(precision: str, bound: float) -> None:
    """TF32 and bfloat16: other results than float32's, within their bounds, and the loss falls."""
    neurona.manual_seed(3)
    network, shape = networks()["lenet"]
    model, exact = copy.deepcopy(network).to("cuda"), network
    x, y = images(*shape), neurona.tensor(np.arange(shape[0]) % 10)
    neurona.set_float32_matmul_precision(precision)
    try:
        assert neurona.get_float32_matmul_precision() == precision
        got, wanted = model(x.cuda()).detach().cpu().numpy(), exact(x).detach().numpy()
        error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
        assert 1e-6 < error < bound
        step = optim.Adam(model.parameters(), lr=0.01)
        losses = []
        for _ in range(8):
            loss = F.cross_entropy(model(x.cuda()), y.cuda())
            step.zero_grad()
            loss.backward()
            step.step()
            losses.append(loss.item())
        assert losses[-1] < 0.9 * losses[0]
    finally:
        neurona.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="'highest', 'high', 'medium'"):
        neurona.set_float32_matmul_precision("low")


def test_gradient_flows_between_devices() -> None:
    """`to` is an operation: what comes back from the device lands on the host's leaf."""
    x = neurona.ones(3, requires_grad=True)
    (x.to("cuda") * 2).sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [2, 2, 2]
    assert (x.to("cuda") * 3).to("cpu").sum().item() == 9


def test_what_does_not_run_on_a_device_is_a_type_error() -> None:
    """Every method of a tensor either gives what the CPU gives or says that it does not run."""
    host = images(3, 4)
    calls: dict[str, Any] = {
        "exp": lambda t: t.exp(), "abs": lambda t: t.abs(), "clamp": lambda t: t.clamp(0, 1),
        "add": lambda t: t + 1, "rsub": lambda t: 1 - t, "neg": lambda t: -t,
        "div": lambda t: 2 / t, "sum": lambda t: t.sum(0), "mean": lambda t: t.mean(),
        "max": lambda t: t.max(),
        "argmax": lambda t: t.argmax(1), "matmul": lambda t: t @ t.T, "std": lambda t: t.std(),
        "compare": lambda t: t > 0, "equal": lambda t: t == 0, "pow": lambda t: t**2,
        "sort": lambda t: t.sort(), "cumsum": lambda t: t.cumsum(0), "flip": lambda t: t.flip(0),
        "cat": lambda t: neurona.cat([t, t]), "stack": lambda t: neurona.stack([t, t]),
        "where": lambda t: neurona.where(t > 0, t, t), "softmax": lambda t: F.softmax(t, 1),
        "expand": lambda t: t[:, None].expand(3, 2, 4), "split": lambda t: t.split(2)[0],
        "clone": lambda t: t.clone(), "tolist": lambda t: t.tolist(),
        "unsqueeze": lambda t: t[None],
        "iadd": lambda t: t.clone().add_(1), "fill": lambda t: t.clone().fill_(2),
        "norm": lambda t: t.norm(), "long": lambda t: t.long(), "bool": lambda t: t.bool(),
    }  # fmt: skip
    ran = set()
    for name, call in calls.items():
        if name in ("sort", "cumsum", "flip") and not hasattr(host, name):
            continue
        expected = call(host)
        try:
            got = call(host.cuda())
        except TypeError as refusal:
            assert "cuda" in str(refusal), (name, refusal)
            continue
        ran.add(name)
        if isinstance(got, neurona.Tensor):
            assert got.device == "cuda", name
            got, expected = got.cpu().numpy(), expected.numpy()
        assert np.allclose(got, expected, rtol=1e-5, atol=1e-6), name
    assert {"add", "rsub", "neg", "div", "sum", "mean", "max", "matmul", "softmax", "expand",
            "split", "clone", "iadd", "fill", "unsqueeze"} <= ran  # fmt: skip


def test_state_moves_with_the_model(tmp_path: Any) -> None:
    """state_dict, a file, and load_state_dict work from both sides."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to("cuda")
    neurona.safetensors.save_file(model.state_dict(), tmp_path / "model.safetensors")
    twin = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    twin.load_state_dict(neurona.safetensors.load_file(tmp_path / "model.safetensors"))
    assert np.array_equal(twin[0].weight.detach(), model[0].weight.detach().cpu())
    twin[0].weight.data *= 2
    model.load_state_dict(twin.state_dict())
    assert model[0].weight.device == "cuda"
    assert np.array_equal(twin[0].weight.detach(), model[0].weight.detach().cpu())
    assert model.cpu()[0].weight.device == "cpu"


def test_the_trainer_follows_the_model(tmp_path: Any) -> None:
    """fit, evaluate, predict and a checkpoint with the model on the device."""
    data = neurona.datasets.digits()
    x, y = data.train[0][:200], data.train[1][:200]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    trainer = neurona.Trainer(model, "cross_entropy", optimizer, ["accuracy"])
    history = trainer.fit(x, y, epochs=5, batch_size=20, verbose=0, checkpoint=tmp_path / "last")
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    scores = trainer.predict(x)
    assert type(scores) is np.ndarray and (scores.argmax(1) == y).mean() > 0.8
    assert trainer.evaluate(x, y, return_dict=True)["accuracy"] > 0.8


def test_the_command_trains_on_the_device(tmp_path: Any) -> None:
    """`neurona train --device cuda`."""
    from neurona.cli import main

    code = main(["train", "digits", "--model", "mlp64", "--device", "cuda", "--epochs", "2",
                 "--limit", "100", "--out", str(tmp_path), "-q"])  # fmt: skip
    assert code == 0 and (tmp_path / "best.safetensors").exists()


def test_what_is_missing_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the extension: no device, a RuntimeError, and one line from the command."""
    from neurona.cli import main

    monkeypatch.setattr(cuda, "_loaded", None)
    monkeypatch.setitem(sys.modules, "neurona._cuda", None)  # as if it had not been built
    assert not neurona.cuda.is_available() and neurona.cuda.device_count() == 0
    with pytest.raises(RuntimeError, match="^cuda: "):
        images(2).to("cuda")
    with pytest.raises(RuntimeError, match="^cuda: "):
        nn.Linear(2, 2).to("cuda")
    assert main(["train", "digits", "--device", "cuda"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "cuda" in message and "Traceback" not in message


def test_a_driver_that_finds_no_gpu_is_quoted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neurona.cli import main

    blind = types.SimpleNamespace(device_count=lambda: 0, device_problem=lambda: "not yet ready")
    monkeypatch.setattr(cuda, "_loaded", None)
    monkeypatch.setitem(sys.modules, "neurona._cuda", blind)
    assert main(["train", "digits", "--device", "cuda"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "no CUDA device was found (not yet ready)" in message


def test_transposed_copies() -> None:
    """Matrices, alone and in batches, with and without gaps, floats and integers."""
    whole = np.random.default_rng(3).integers(-9, 9, (3, 41, 37)).astype(np.int32)
    for array in (whole, whole.astype(np.float32), whole.astype(np.int64)):
        there = DeviceArray.from_host(array)
        for view, expected in (
            (there[0].T, array[0].T),
            (there.transpose(0, 2, 1), array.transpose(0, 2, 1)),
            (there.transpose(2, 0, 1), array.transpose(2, 0, 1)),
            (there[1][:, 3:].T, array[1][:, 3:].T),
            (there[:, 2:].transpose(0, 2, 1), array[:, 2:].transpose(0, 2, 1)),
        ):
            got = view.copy(order="C")
            assert got.strides == np.ascontiguousarray(expected).strides
            assert np.array_equal(got.numpy(), expected)
