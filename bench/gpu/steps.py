"""Rows of whole training steps (forward, loss, backward, update) and of predictions, on data that
lies on the device. The networks are those of `neurona bench`.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import place
from .case import Case, Rows, normals, on_host, precision, relative, row, torch_here
from .timing import Work

ROWS: Rows = {}

# Of the losses of the first steps. Rounding moves some ReLU from one side to the other.
BOUNDS = {"highest": 1e-3, "high": 1e-2, "medium": 5e-2}
# A network that the emulation can train, in the place of a large one.
STAND_INS = {"resnet18_32": "resnet8"}
PLAIN_STEPS, RECORDED_STEPS = 2, 5  # a recording repeats from the fourth call on


def models() -> Any:
    """The networks' descriptions, which are known once neurona is built."""
    from neurona.bench.peers import models

    return models


class Network:
    """A network with its batch, from which both libraries' copies are made."""

    def __init__(self, name: str, batch: int, at: str) -> None:
        self.name = STAND_INS.get(name, name) if place.rehearsal else name
        self.batch, self.at = place.size(batch, 2), at
        shape, layers = models().NETWORKS[self.name]
        self.has_images = any(layer[0].startswith("conv") for layer in layers)
        self.x = normals(self.batch, *shape)
        self.labels = np.arange(self.batch) % models().classes(self.name)
        self.flops = [2.0 * self.batch * macs for macs in models().macs(self.name)]  # of layers
        import neurona
        from neurona import nn

        neurona.manual_seed(0)
        self.state = models().build(nn, self.name).state_dict()

    def neurona(self) -> tuple[Any, Any, Any]:
        """neurona's copy, x and labels, all on the device."""
        from neurona import Tensor, nn

        model = models().build(nn, self.name)
        model.load_state_dict(self.state)
        model.to("cuda")
        return model, Tensor(self.x).to("cuda"), Tensor(self.labels).to("cuda")

    def torch(self, channels_last: bool) -> tuple[Any, Any, Any]:
        """PyTorch's."""
        import torch

        form = torch.channels_last if channels_last else torch.contiguous_format
        model = models().build(torch.nn, self.name)
        arrays = {name: torch.from_numpy(tensor.numpy()) for name, tensor in self.state.items()}
        model.load_state_dict(arrays)
        model.to(place.torch_device()).to(memory_format=form)
        return model, torch_here(self.x).to(memory_format=form), torch_here(self.labels)

    def autocast(self) -> Any:
        """bfloat16 where PyTorch chooses it; without a cache, which a graph cannot have."""
        import torch

        if self.at != "medium":
            return contextlib.nullcontext()
        return torch.autocast(place.torch_device(), torch.bfloat16, cache_enabled=False)


def recording_objection() -> str | None:
    """Why `neurona.record` does not take steps on the device; None if it does. A tiny step is
    tried, so that what goes wrong with a network is an error of its row.
    """
    import neurona
    from neurona import nn, optim

    model = nn.Linear(3, 2)
    model.to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = neurona.Tensor(normals(4, 3)).to("cuda"), neurona.Tensor(np.arange(4) % 2).to("cuda")
    try:
        step = neurona.record(model, nn.CrossEntropyLoss(), optimizer)
        for _ in range(RECORDED_STEPS):
            step(x, y)
    except (RuntimeError, TypeError) as error:
        return str(error)
    return None


def neurona_step(network: Network, recorded: bool) -> Work:
    """A training step, as it is written or recorded."""
    import neurona
    from neurona import nn, optim
    from neurona.nn import functional as F

    model, x, y = network.neurona()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    if recorded:
        repeated = neurona.record(model, nn.CrossEntropyLoss(), optimizer)
        return lambda: repeated(x, y)

    def step() -> Any:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def captured(work: Work) -> Work:
    """PyTorch's work as a CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    # Nothing may free memory of the device while PyTorch captures: what is garbage goes before.
    gc.collect()
    gc.disable()
    try:
        with torch.cuda.graph(graph):
            work()
    finally:
        gc.enable()
    return graph.replay


def torch_step(network: Network, channels_last: bool, compiled: bool = False) -> Work:
    """A training step, perhaps with forward and backward pass by torch.compile."""
    import torch

    model, x, y = network.torch(channels_last)
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def forward() -> Any:
        with network.autocast():
            return loss(model(x), y)

    run = torch.compile(forward) if compiled else forward

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        result = run()
        result.backward()
        optimizer.step()
        return result.detach()

    return step


def torch_forms(make: Callable[..., Work], has_images: bool) -> dict[str, Work]:
    """As a user would write it, channels-last, compiled, and replayed as a CUDA graph; the latter
    two in the layout that suits them better.
    """
    works = {"torch": make(False)}
    if has_images:
        works["torch_nhwc"] = make(True)
    if not place.rehearsal:
        works["torch_compiled"] = make(has_images, compiled=True)
        works["torch_graph"] = captured(make(has_images))
    return works


def training(name: str, batch: int, at: str) -> Case:
    """The losses of the first steps from the same weights agree, for every form of neurona's."""
    precision(at)
    network = Network(name, batch, at)
    objection = recording_objection()
    ours = {"neurona": neurona_step(network, False)}
    counts = {"neurona": PLAIN_STEPS}
    if objection is None:
        ours["neurona_recorded"] = neurona_step(network, True)
        counts["neurona_recorded"] = RECORDED_STEPS
    peer = torch_step(network, False)
    losses = np.array([float(peer()) for _ in range(max(counts.values()))])
    differences = [
        np.abs([ours[form]().item() for _ in range(n)] - losses[:n]) for form, n in counts.items()
    ]
    error = float(np.concatenate(differences).max() / losses.max())
    peers = torch_forms(partial(torch_step, network), network.has_images)
    # Two products backward for each forward, but for the first layer's, which needs one.
    flops = 3 * sum(network.flops) - network.flops[0]
    note = f"batch {network.batch}" + (f"; {objection}" if objection else "")
    return Case({**ours, **peers}, flops, 0.0, error, BOUNDS[at], note)


def inference(name: str, batch: int) -> Case:
    """Predictions without gradients, in evaluation mode."""
    import torch

    import neurona
    from neurona import no_grad

    precision("highest")
    network = Network(name, batch, "highest")
    model, x, _ = network.neurona()
    model.eval()

    def predict() -> Any:
        with no_grad():
            return model(x)

    works: dict[str, Work] = {"neurona": predict}
    objection = recording_objection()
    if objection is None:
        repeated = neurona.record(model)
        works["neurona_recorded"] = lambda: repeated(x)

    def peer(channels_last: bool, compiled: bool = False) -> Work:
        theirs, their_x, _ = network.torch(channels_last)
        theirs.eval()
        run = torch.compile(theirs) if compiled else theirs

        def work() -> Any:
            with torch.no_grad():
                return run(their_x)

        return work

    exact = on_host(peer(False)())
    error = max(
        relative(work().cpu().numpy(), exact) for work in list(works.values()) for _ in range(5)
    )
    works |= torch_forms(peer, network.has_images)
    note = f"batch {network.batch}" + (f"; {objection}" if objection else "")
    return Case(works, sum(network.flops), 0.0, error, 1e-5, note)


# The precisions at which a step of so many samples is timed: those where products count.
STEPS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "mlp256": ((128,), ("highest",)),
    "lenet5": ((128,), ("highest", "high")),
    "mlp1024": ((128,), ("highest", "high", "medium")),
    "cnn_20_40": ((128,), ("highest", "high", "medium")),
    "vgg_small": ((128,), ("highest", "high", "medium")),
    "resnet18_32": ((128, 512), ("highest", "high", "medium")),
}
for _name, (_batches, _precisions) in STEPS.items():
    for _batch in _batches:
        for _at in _precisions:
            row(ROWS, f"step_{_name}_b{_batch}_{_at}")(
                lambda n=_name, b=_batch, a=_at: training(n, b, a)
            )
row(ROWS, "infer_lenet5_b1")(lambda: inference("lenet5", 1))
