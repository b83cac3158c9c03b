"""Whole training steps: forward, loss, backward, update, on data that lies on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import place
from .rows import Case, normals, row, torch_here
from .timing import Work

# The layers of both libraries' networks, in words that both know.
NETWORKS: dict[str, tuple[tuple[int, ...], list[tuple[Any, ...]]]] = {
    "mlp_784_256_10": (
        (784,),
        [("Linear", 784, 256), ("ReLU",), ("Linear", 256, 10)],
    ),
    "lenet5": (
        (1, 28, 28),
        [
            ("Conv2d", 1, 6, 5, 1, 2), ("ReLU",), ("MaxPool2d", 2), ("Conv2d", 6, 16, 5), ("ReLU",),
            ("MaxPool2d", 2), ("Flatten",), ("Linear", 400, 120), ("ReLU",), ("Linear", 120, 84),
            ("ReLU",), ("Linear", 84, 10),
        ],
    ),
}  # fmt: skip


def network(nn: Any, layers: list[tuple[Any, ...]]) -> Any:
    """The same layers from neurona.nn or torch.nn."""
    return nn.Sequential(*[getattr(nn, name)(*arguments) for name, *arguments in layers])


def take_weights(theirs: Any, ours: Any) -> None:
    """Let PyTorch's network have the weights of neurona's."""
    import torch

    state = {name: tensor.cpu().numpy() for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})


def torch_steps(model: Any, x: Any, y: Any) -> dict[str, Work]:
    """PyTorch's step, as it is written, compiled, and replayed as a CUDA graph."""
    import torch

    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        result = loss(model(x), y)
        result.backward()
        optimizer.step()
        return result.detach()

    steps: dict[str, Work] = {"torch": step}
    if place.rehearsal:
        return steps
    forward = torch.compile(lambda: loss(model(x), y))

    def compiled() -> Any:
        optimizer.zero_grad(set_to_none=True)
        result = forward()
        result.backward()
        optimizer.step()
        return result.detach()

    steps["torch_compiled"] = compiled
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss(model(x), y).backward()
        optimizer.step()
    steps["torch_graph"] = graph.replay
    return steps


def training(name: str, batch: int) -> Case:
    """neurona's step beside PyTorch's three; the losses of one step from the same weights agree."""
    import torch

    from neurona import Tensor, nn, optim
    from neurona.backends import cuda
    from neurona.nn import functional as F

    shape, layers = NETWORKS[name]
    batch = place.size(batch, 4)
    values, labels = normals(batch, *shape), np.arange(batch) % 10
    cuda.extension().set_product_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    ours = network(nn, layers)
    theirs = network(torch.nn, layers)
    theirs.to(place.torch_device())
    ours.to("cuda")
    take_weights(theirs, ours)
    x, y = Tensor(values).to("cuda"), Tensor(labels).to("cuda")
    optimizer = optim.SGD(ours.parameters(), lr=0.01, momentum=0.9)

    def step() -> Any:
        loss = F.cross_entropy(ours(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    steps = torch_steps(theirs, torch_here(values), torch_here(labels))
    take_weights(theirs, ours)  # again: making a graph of the step has trained PyTorch's network
    error = abs(step().item() - steps["torch"]().item())
    return Case({"neurona": step, **steps}, 0.0, 0.0, error, 1e-4, f"batch {batch}")


for _name in NETWORKS:
    row(f"step_{_name}_b128")(lambda n=_name: training(n, 128))
