"""ONNX Runtime as a peer: inference, of whole networks and of graphs of one node.

Weights are initializers, as in a file exported for deployment: the session packs them when it is
made, and no call pays for it.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import layers
from .inputs import Array, Arrays, Parameters, build_inputs, pair
from .models import build
from .steps import network_arrays
from .worker import Request, Task, Unsupported

NAME = "onnxruntime"
OPSET = 17
IR_VERSION = 8  # the format of that opset's release
ONE_NODE = ("gemm", "linear", "conv2d")
# Untyped, because type checkers run where they need not be installed.
onnx: Any = importlib.import_module("onnx")
ort: Any = importlib.import_module("onnxruntime")


def versions() -> dict[str, str]:
    return {"onnxruntime": ort.__version__, "onnx": onnx.__version__}


def extra(command: str, request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"{NAME}: command must be a known one, got {command!r}")


@dataclass
class Graph:
    """Nodes in order, and the constants that they name."""

    constants: Arrays = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)

    def add(self, op: str, inputs: list[str | None], **attributes: Any) -> Node:
        """A node; inputs that are None are left out."""
        output = f"{op}_{len(self.nodes)}"
        present = [name for name in inputs if name is not None]
        self.nodes.append(onnx.helper.make_node(op, present, [output], **attributes))
        return Node(self, output)

    def session(self, inputs: Arrays) -> Any:
        """An optimized session that computes the last node from ``inputs``."""
        helper, real = onnx.helper, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "row",
            [helper.make_tensor_value_info(k, real, v.shape) for k, v in inputs.items()],
            [helper.make_tensor_value_info(self.nodes[-1].output[0], real, None)],
            [onnx.numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NEURONA_BENCH_THREADS"])
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


@dataclass
class Node:
    """The ``layers.Value`` of ONNX: the output of a node, by name, as are its weights."""

    graph: Graph
    name: str

    def _then(self, op: str, *others: str | None, **attributes: Any) -> Node:
        return self.graph.add(op, [self.name, *others], **attributes)

    def __add__(self, other: Node) -> Node:
        return self._then("Add", other.name)

    def conv2d(
        self, weight: str, bias: str | None, stride: Any, padding: Any, groups: int = 1
    ) -> Node:
        pads = [*pair(padding), *pair(padding)]
        return self._then("Conv", weight, bias, strides=pair(stride), pads=pads, group=groups)

    def batch_norm(self, weight: str, bias: str) -> Node:
        """In evaluation mode, on the statistics that a network starts with."""
        mean, variance = f"{weight}.mean", f"{weight}.variance"
        scale = self.graph.constants[weight]
        self.graph.constants[mean] = np.zeros_like(scale)
        self.graph.constants[variance] = np.ones_like(scale)
        arguments = (weight, bias, mean, variance)
        return self._then("BatchNormalization", *arguments, epsilon=layers.BATCH_NORM_EPS)

    def linear(self, weight: str, bias: str | None) -> Node:
        return self._then("Gemm", weight, bias, transB=1)

    def max_pool2d(self, size: int, stride: int, padding: int) -> Node:
        steps, pads = [stride, stride], [padding] * 4
        return self._then("MaxPool", kernel_shape=[size, size], strides=steps, pads=pads)

    def global_avg_pool(self) -> Node:
        return self._then("GlobalAveragePool")

    def flatten(self) -> Node:
        return self._then("Flatten")

    def relu(self) -> Node:
        return self._then("Relu")


def _task(graph: Graph, inputs: Arrays) -> Task:
    session = graph.session(inputs)

    def outputs(results: list[Array]) -> Arrays:
        return {"y": results[0]}

    return Task(lambda: session.run(None, inputs), outputs)


def _network_task(request: Request) -> Task:
    model = build(layers, request.parameters["model"])
    arrays = network_arrays(model, request)
    layers.assign(model, {name: name for name in arrays.parameters})
    graph = Graph(dict(arrays.parameters))
    model(Node(graph, "x"))
    return _task(graph, {"x": arrays.x})


def _gemm_task(p: Parameters, arrays: Arrays) -> Task:
    """Both matrices are inputs: neither is packed ahead."""
    graph = Graph()
    graph.add("Gemm", ["a", "b"], transA=p["trans_a"], transB=p["trans_b"])
    return _task(graph, arrays)


def prepare(request: Request) -> Task:
    """A session that runs the row."""
    p = request.parameters
    if request.op == "infer":
        return _network_task(request)
    if request.op not in ONE_NODE or request.direction != "F":
        raise Unsupported("inference only")
    arrays = build_inputs(request.name, request.op, "F", p, request.seed)
    if request.op == "gemm":
        return _gemm_task(p, arrays)
    x = arrays.pop("x")
    node, bias = Node(Graph(arrays), "x"), "bias" if "bias" in arrays else None
    if request.op == "linear":
        node.linear("weight", bias)
    else:
        node.conv2d("weight", bias, p["stride"], p["padding"], p["groups"])
    return _task(node.graph, {"x": x})
