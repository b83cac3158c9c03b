"""Training steps, inference and optimizers, written once in PyTorch's names for both libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .inputs import Array, Arrays, generator
from .models import NETWORKS, build, classes
from .worker import Request, Task

VERIFIED_LOSSES = 3
CALLS_TO_RECORD = 3  # after which a recorded step is repeated
OPTIMIZERS: dict[str, tuple[str, dict[str, float]]] = {
    "sgd": ("SGD", {"lr": 1e-2, "momentum": 0.9}),
    "adam": ("Adam", {"lr": 1e-3}),
    "adagrad": ("Adagrad", {"lr": 1e-2}),
    "rmsprop": ("RMSprop", {"lr": 1e-2}),
    "adadelta": ("Adadelta", {"lr": 1.0}),
    "adamax": ("Adamax", {"lr": 2e-3}),
    "nadam": ("NAdam", {"lr": 2e-3}),
}


def initial_parameters(model: Any, random: np.random.RandomState) -> Arrays:
    """He-scaled weights, batch-norm scales near 1, biases near 0, by name."""
    arrays = {}
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        values = random.standard_normal(shape)
        if len(shape) > 1:
            values *= np.sqrt(2 / np.prod(shape[1:]))
        else:
            values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
        arrays[name] = values.astype(np.float32)
    return arrays


def load_parameters(lib: Any, model: Any, arrays: Arrays) -> None:
    with lib.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(
                lib.tensor(arrays[name].astype(str(parameter.dtype).rpartition(".")[2]))
            )


def current_parameters(model: Any) -> Arrays:
    return {
        name: np.array(parameter.detach().numpy(), np.float64)
        for name, parameter in model.named_parameters()
    }


class NetworkArrays(NamedTuple):
    """What a network starts from and is fed with."""

    parameters: Arrays
    x: Array
    labels: Array


def network_arrays(model: Any, request: Request) -> NetworkArrays:
    """The same numbers in every library, as long as the parameters come in the same order."""
    p = request.parameters
    random = generator(p["model"], request.seed)
    parameters = initial_parameters(model, random)
    x = random.standard_normal((p["batch"], *NETWORKS[p["model"]][0])).astype(np.float32)
    labels = random.randint(0, classes(p["model"]), (p["batch"],), dtype=np.int64)
    return NetworkArrays(parameters, x, labels)


class Network:
    """The network, inputs and labels of a row in one library.

    ``adapt`` moves a tensor or module to the dtype and memory format of the variant.
    """

    def __init__(self, lib: Any, request: Request, adapt: Callable[[Any], Any]) -> None:
        self.lib = lib
        self.model = adapt(build(lib.nn, request.parameters["model"]))
        arrays = network_arrays(self.model, request)
        self.initial = arrays.parameters
        load_parameters(lib, self.model, self.initial)
        self.x = adapt(lib.tensor(arrays.x))
        self.labels = lib.tensor(arrays.labels)


def training_outputs(initial: Arrays, after: Arrays, losses: list[float]) -> Arrays:
    """What is verified of a training step: see ``training_task``."""
    arrays = {"losses": np.array(losses)}
    for name, value in after.items():
        before = arrays[f"before:{name}"] = initial[name].astype(np.float64)
        arrays[f"update:{name}"] = value - before
    return arrays


def training_task(network: Network, make_optimizer: Callable[[Any], Any], record: Any) -> Task:
    """zero_grad, forward, cross-entropy, backward, optimizer step.

    Verified are what the first step does to every parameter and the losses of the first three: the
    second loss follows from the first step, the third also from the momentum of the second. Later
    parameters are not compared, because ResNet-18 on 8 images triples a rounding error per step.
    Each sample starts from the initial parameters, so that no sample trains on
    a solved problem.
    """
    lib, model = network.lib, network.model
    x, labels = network.x, network.labels
    cross_entropy = lib.nn.functional.cross_entropy
    state: dict[str, Any] = {}

    def begin() -> None:
        optimizer = make_optimizer(model.parameters())

        def step(x: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        state["step"] = record(model, cross_entropy, optimizer) if record else step

    def run() -> Any:
        return state["step"](x, labels)

    def outputs(first_loss: Any) -> dict[str, Array]:
        after = current_parameters(model)
        losses = [float(first_loss.item())]
        losses += [float(run().item()) for _ in range(VERIFIED_LOSSES - 1)]
        return training_outputs(network.initial, after, losses)

    def reset() -> None:
        load_parameters(lib, model, network.initial)
        begin()
        for _ in range(CALLS_TO_RECORD if record else 1):
            run()

    model.train()
    begin()
    return Task(run, outputs, reset)


def inference_task(network: Network, record: Any) -> Task:
    """Forward pass in evaluation mode without gradients."""
    lib, model, x = network.lib, network.model, network.x
    without_gradients = getattr(lib, "inference_mode", lib.no_grad)

    if record:  # prepared for inference, as ONNX Runtime prepares what it loads
        model = lib.freeze(lib.fold_batch_norm(model, x))
    predict = record(model) if record else model

    def infer() -> Any:
        with without_gradients():
            return predict(x)

    model.eval()
    if record:
        for _ in range(CALLS_TO_RECORD):
            infer()
    return Task(infer, lambda y: {"y": np.asarray(y.numpy())})


def optimizer_task(lib: Any, name: str, parameter: Any, **options: Any) -> Task:
    """A step of the optimizer called ``name`` on a parameter that has its gradient."""
    kind, settings = OPTIMIZERS[name]
    optimizer = getattr(lib.optim, kind)([parameter], **settings, **options)
    return Task(optimizer.step, lambda _: {"param": parameter.detach().numpy()})


def network_task(
    lib: Any,
    request: Request,
    *,
    adapt: Callable[[Any], Any] = lambda value: value,
    record: Any = None,
    **optimizer_options: Any,
) -> Task:
    """The task of a ``train_step`` or ``infer`` row, through ``record`` if that is given; further
    options go to the optimizer.
    """
    network = Network(lib, request, adapt)
    if request.op == "infer":
        return inference_task(network, record)
    p = request.parameters

    def make_optimizer(parameters: Any) -> Any:
        return lib.optim.SGD(parameters, lr=p["lr"], momentum=p["momentum"], **optimizer_options)

    return training_task(network, make_optimizer, record)
