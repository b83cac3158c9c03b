"""Module, containers and hooks: registration, state_dict, modes, copies, printing."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn
from nn_helpers import fill, fill_parameters


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.act = nn.ReLU()

    def forward(self, x: neurona.Tensor) -> neurona.Tensor:
        return self.act(self.fc(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.scale = nn.Parameter(np.ones(1, np.float32))
        self.blocks = nn.Sequential(Block(4), Block(4))
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x: neurona.Tensor) -> neurona.Tensor:
        return self.head(self.blocks(self.norm(x) * self.scale))


STATE_KEYS = [
    "scale",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
    "blocks.0.fc.weight",
    "blocks.0.fc.bias",
    "blocks.1.fc.weight",
    "blocks.1.fc.bias",
    "head.weight",
]


# ---- registration and state ----


def test_state_dict_keys_come_in_pytorch_order() -> None:
    net = Net()
    assert list(net.state_dict()) == STATE_KEYS
    names = [name for name, _ in net.named_parameters()]
    assert names == [key for key in STATE_KEYS if "running" not in key and "num_b" not in key]
    assert [name for name, _ in net.named_buffers()] == STATE_KEYS[3:6]
    assert net.norm.num_batches_tracked.data.dtype == np.int64
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"


def test_state_dict_shares_memory_and_load_copies() -> None:
    net, other = Net(), Net()
    state = net.state_dict()
    state["scale"].data[0] = 5.0
    assert net.scale.item() == 5.0 and not state["scale"].requires_grad
    result = other.load_state_dict(state)
    assert result == ([], [])
    assert other.scale.item() == 5.0
    state["scale"].data[0] = 6.0
    assert other.scale.item() == 5.0
    other.load_state_dict({name: t.data for name, t in state.items()}, assign=True)
    state["scale"].data[0] = 7.0
    assert other.scale.item() == 7.0


def test_load_state_dict_lists_everything_and_changes_nothing() -> None:
    net = fill_parameters(Net())
    before = {name: tensor.data.copy() for name, tensor in net.state_dict().items()}
    state: dict[str, Any] = {name: np.zeros_like(array) for name, array in before.items()}
    del state["scale"], state["norm.bias"]
    state["extra"] = np.zeros(1, np.float32)
    state["head.weight"] = np.zeros((3, 4), np.float32)
    state["norm.weight"] = np.zeros(4, np.int64)
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for line in (
        "missing key: scale",
        "missing key: norm.bias",
        "unexpected key: extra",
        "head.weight: expected shape (2, 4), got (3, 4)",
        "norm.weight: expected dtype float32, got int64",
    ):
        assert line in text
    after = {name: tensor.data for name, tensor in net.state_dict().items()}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    with pytest.raises(ValueError, match=re.escape("got (3, 4)")):
        net.load_state_dict(state, strict=False)
    del state["head.weight"], state["norm.weight"]
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == ["scale", "norm.weight", "norm.bias", "head.weight"]
    assert unexpected == ["extra"]
    with pytest.raises(TypeError, match="expected dtype"):
        net.load_state_dict({**before, "norm.weight": np.zeros(4, np.int64)})
    with pytest.raises(TypeError, match="must be a mapping"):
        net.load_state_dict([])


def test_load_state_dict_converts_floats() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.ones((1, 2)), "bias": np.ones(1, np.float16)})
    assert layer.weight.data.dtype == np.float32
    assert layer.weight.data.tolist() == [[1.0, 1.0]]


def test_shared_parameters_come_once_but_are_saved_under_both_names() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    twice = nn.Sequential(net[0], net[0])
    assert [name for name, _ in twice.named_modules()] == ["", "0"]
    assert len(list(twice.children())) == 1 and len(twice) == 2


def test_assignment_keeps_the_registry_right() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight must be a Parameter or None, got Tensor"):
        layer.weight = neurona.zeros(2, 2)
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    layer.bias = nn.Parameter(np.zeros(2, np.float32))
    assert list(layer.state_dict()) == ["weight", "bias"]
    del layer.weight
    assert list(layer.state_dict()) == ["bias"] and not hasattr(layer, "weight")
    layer.register_buffer("count", neurona.zeros(1), persistent=False)
    assert list(layer.state_dict()) == ["bias"] and len(list(layer.buffers())) == 1
    layer.count = neurona.ones(1)
    assert next(layer.buffers()).item() == 1.0
    with pytest.raises(TypeError):
        layer._parameters["weight"] = nn.Parameter(np.zeros(2, np.float32))  # type: ignore[index]

    class Early(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(1, 1)

    with pytest.raises(RuntimeError, match=r"call super\(\).__init__\(\) before assigning fc"):
        Early()


@pytest.mark.parametrize(
    ("register", "error", "message"),
    [
        (lambda m: m.register_buffer("a.b", None), ValueError, "non-empty without '.'"),
        (lambda m: m.register_buffer("", None), ValueError, "non-empty"),
        (lambda m: m.register_buffer("forward", None), ValueError, "already an attribute"),
        (lambda m: m.register_buffer("b", np.zeros(1)), TypeError, "must be a Tensor or None"),
        (lambda m: m.register_parameter("p", neurona.zeros(1)), TypeError, "must be a Parameter"),
        (lambda m: m.add_module("m", 3), TypeError, "must be a Module or None"),
        (lambda m: m.add_module(3, None), TypeError, "must be a str"),
    ],
)
def test_bad_registrations(
    register: Callable[[nn.Module], None], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        register(nn.Module())


def test_traversal_and_lookup() -> None:
    net = Net()
    assert [name for name, _ in net.named_children()] == ["norm", "blocks", "head"]
    assert net.get_submodule("blocks.1.fc") is net.blocks[1].fc
    assert net.get_parameter("head.weight") is net.head.weight
    with pytest.raises(ValueError, match="has no 'fd'"):
        net.get_submodule("blocks.1.fd")
    with pytest.raises(ValueError, match="has no parameter 'bias'"):
        net.get_parameter("blocks.bias")
    visited: list[str] = []
    net.apply(lambda module: visited.append(type(module).__name__))
    assert visited[-1] == "Net" and visited.count("Block") == 2


def test_train_eval_requires_grad_and_zero_grad() -> None:
    net = Net()
    assert net.training and net.eval() is net
    assert not any(module.training for module in net.modules())
    with pytest.raises(TypeError, match="mode must be a bool"):
        net.train(1)  # type: ignore[arg-type]
    net.train().requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    net.requires_grad_()
    net(neurona.Tensor(fill((3, 4), 0))).sum().backward()
    assert net.head.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.head.weight.grad.data.any()
    net.zero_grad()
    assert net.head.weight.grad is None


def test_to_converts_floats_only() -> None:
    net = Net().double()
    assert net.scale.data.dtype == np.float64
    assert net.norm.running_mean.data.dtype == np.float64
    assert net.norm.num_batches_tracked.data.dtype == np.int64
    assert net.to("cpu").float().to(neurona.float32).scale.data.dtype == np.float32
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda'"):
        net.to("mps")
    with pytest.raises(TypeError, match="float32 or float64"):
        net.to(np.int64)


def test_deepcopy_is_independent() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    twin.scale.data[0] = 9.0
    twin.norm.running_mean.data[0] = 9.0
    assert net.scale.item() == 1.0 and net.norm.running_mean.data[0] == 0.0
    assert isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    assert list(twin.state_dict()) == STATE_KEYS


def test_parameter() -> None:
    array = np.zeros(2, np.float32)
    parameter = nn.Parameter(array)
    assert parameter.data is array and parameter.requires_grad and parameter.is_leaf
    assert type(parameter * 2) is neurona.Tensor
    assert not nn.Parameter(neurona.ones(1), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="must be a Tensor or an ndarray, got list"):
        nn.Parameter([1.0])  # type: ignore[arg-type]


# ---- hooks ----


def test_hooks_see_and_replace() -> None:
    layer = nn.Identity()
    log: list[str] = []
    before = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    after = layer.register_forward_hook(lambda m, args, out: log.append("after") or out + 1)
    first = layer.register_forward_hook(lambda m, a, out: log.append("first"), prepend=True)
    assert layer(neurona.ones(1)).item() == 3.0 and log == ["first", "after"]
    for handle in (before, after, first, first):
        handle.remove()
    assert layer(neurona.ones(1)).item() == 1.0
    with layer.register_forward_hook(lambda m, args, kwargs, out: out + 5, with_kwargs=True):
        assert layer(input=neurona.ones(1)).item() == 6.0
    assert layer(neurona.ones(1)).item() == 1.0
    with pytest.raises(TypeError, match="hook must be callable"):
        layer.register_forward_hook(3)  # type: ignore[arg-type]


# ---- containers ----


def test_sequential_is_a_list() -> None:
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    net = nn.Sequential(a, b).append(c)
    assert len(net) == 3 and list(net) == [a, b, c] and net[-1] is c
    assert isinstance(net[:2], nn.Sequential) and list(net[1:]) == [b, c]
    net[1] = nn.Tanh()
    net.insert(0, b)
    assert [type(module).__name__ for module in net] == ["ReLU", "Linear", "Tanh", "Linear"]
    assert list(net.state_dict()) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    del net[0]
    assert net.pop() is c and list(net.state_dict()) == ["0.weight", "0.bias"]
    named = nn.Sequential({"fc": a, "act": b})
    assert list(named.state_dict()) == ["fc.weight", "fc.bias"] and named.fc is a
    assert named(neurona.zeros(1, 2)).shape == (1, 2)


def test_module_list() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    layers.extend([nn.Linear(2, 2)])
    assert list(layers.state_dict()) == [f"{i}.{n}" for i in range(3) for n in ("weight", "bias")]
    assert (
        isinstance(layers[1:], nn.ModuleList) and next(iter(layers[1:].state_dict())) == "0.weight"
    )
    with pytest.raises(NotImplementedError, match="ModuleList: forward is not defined"):
        layers(neurona.zeros(2))


def test_repr_is_a_tree() -> None:
    text = repr(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten()))
    assert text == (
        "Sequential(\n"
        "  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), bias=False)\n"
        "  (1): Flatten(start_dim=1, end_dim=-1)\n"
        ")"
    )
