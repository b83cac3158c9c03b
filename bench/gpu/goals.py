"""What the rows are to reach on an H200: what good hand-written work reaches, and what is at or
past the vendor's libraries. A goal is one figure, taken from the results of a run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

Results = dict[str, dict[str, Any]]
COPY = "copy_256MB"  # the row that shows the machine's bandwidth


def own_us(result: dict[str, Any]) -> float:
    """neurona's time: of a step the faster of its two forms, of a product that of operands which
    are packed already.
    """
    times = result["times"]
    forms = [form for form in times if form.startswith("neurona")]
    return float(min(times[form]["median_us"] for form in forms))


def bandwidth_share(result: dict[str, Any], results: Results) -> float | None:
    """Its bytes a second as a part of those that the run's copy moved."""
    copy = results.get(COPY, {})
    if copy.get("status") != "ok" or not result["bytes"]:
        return None
    return float(result["bytes"] / own_us(result) / (copy["bytes"] / own_us(copy)))


def ratio(result: dict[str, Any], peers: tuple[str, ...]) -> float | None:
    """How many times as long the fastest of these forms of PyTorch takes."""
    times = [result["times"][peer]["median_us"] for peer in peers if peer in result["times"]]
    return min(times) / own_us(result) if times else None


class Goal(NamedTuple):
    """A figure of some rows, in words and as a function of their results."""

    what: str
    rows: str  # a regular expression that their whole names match
    figure: Callable[[list[dict[str, Any]], Results], float | None]
    unit: str
    reachable: str
    extreme: str


def _geometric_mean(values: list[float | None]) -> float | None:
    found = [math.log(value) for value in values if value is not None]
    return math.exp(sum(found) / len(found)) if found else None


def _against(*peers: str) -> Any:
    return lambda own, _: _geometric_mean([ratio(result, peers) for result in own])


def _share(own: list[dict[str, Any]], results: Results) -> float | None:
    shares = _geometric_mean([bandwidth_share(result, results) for result in own])
    return None if shares is None else 100 * shares


def _us(own: list[dict[str, Any]], _: Results) -> float:
    return own_us(own[0])


def _tflops(own: list[dict[str, Any]], _: Results) -> float:
    return float(own[0]["flops"]) / own_us(own[0]) / 1e6


THIN = (
    r"gemm_(1|16)x8192x8192_(transposed_)?highest|gemm_8192x(1|16)x8192_highest|"
    r"gemm_8192x8192x(1|16)_highest"
)
ANY_LAYOUT = ("torch", "torch_nhwc")
RESNET = r"(stem7x7|res\w+)"
ELEMENTWISE = (
    r"(relu|leaky_relu|sigmoid|tanh|gelu|silu|elu|softplus)(_backward)?_64M|"
    r"(add|mul|div|add_number|dropout)_64M|(add_row|mul_column|add_channel)_.*"
)
REDUCTIONS = r"(sum|max)_64M|(sum|mean|max)_of_\w+"
UPDATES = r"(sgd|sgd_momentum|adam|adamw|rmsprop|adagrad|adadelta|adamax|nadam)_16M"
IMAGES = r"(batch_norm|max_pool|avg_pool|upsample|max_unpool)_.*"
CLASSES = r"(log_)?softmax_.*|cross_entropy_.*|focal_.*|\w+_loss_32M"

GOALS = [
    Goal("bfloat16 product 8192", "gemm_8192_medium", _against("torch"), "x", ">= 0.97", ">= 1.02"),
    Goal("bfloat16 product 4096", "gemm_4096_medium", _against("torch"), "x", ">= 1.00", ">= 1.05"),
    Goal("bfloat16 product 1024", "gemm_1024_medium", _us, "us", "<= 6.2", "<= 5.5"),
    Goal("bfloat16 product 8192", "gemm_8192_medium", _tflops, "Tflop/s", ">= 765", ">= 805"),
    Goal("float32 product 8192", "gemm_8192_highest", _against("torch"), "x", ">= 0.94", ">= 1.08"),
    Goal("float32 product 8192", "gemm_8192_highest", _tflops, "Tflop/s", ">= 47", ">= 55"),
    Goal("TF32 product 8192", "gemm_8192_high", _against("torch"), "x", ">= 0.9", ">= 1.0"),
    Goal("bfloat16 convolution", RESNET + "_forward_medium", _against("torch_nhwc"), "x",
         ">= 0.85", ">= 1.0"),
    Goal("its gradient of the data", RESNET + "_backward_data_medium", _against("torch_nhwc"), "x",
         ">= 0.80", ">= 0.95"),
    Goal("its gradient of the weights", RESNET + "_backward_weight_medium", _against("torch_nhwc"),
         "x", ">= 0.75", ">= 0.95"),
    Goal("convolution, bias, ReLU to channels-last", r"res\w+_bias_relu_medium",
         _against("torch_nhwc"), "x", ">= 1.3", ">= 1.7"),
    Goal("the same to PyTorch's default", r"res\w+_bias_relu_medium", _against("torch"), "x",
         ">= 2", ">= 3"),
    Goal("float32 convolution 3x3", r"res\d_3x3_forward_highest", _against(*ANY_LAYOUT), "x",
         ">= 0.7", ">= 1.0"),
    Goal("float32 products of 1 or 16 rows, columns or depths", THIN, _share, "% of copy", ">= 85",
         ">= 90"),
    Goal("element-wise", ELEMENTWISE, _share, "% of copy", ">= 90", ">= 95"),
    Goal("reductions", REDUCTIONS, _share, "% of copy", ">= 90", ">= 95"),
    Goal("optimizers", UPDATES, _share, "% of copy", ">= 90", ">= 95"),
    Goal("softmax and losses", CLASSES, _share, "% of copy", ">= 85", ">= 92"),
    Goal("batch norm, pooling, resampling", IMAGES, _share, "% of copy", ">= 85", ">= 92"),
    Goal("step MLP 784-256-10 b128", "step_mlp256_b128_highest", _us, "us", "<= 15", "<= 6"),
    Goal("step LeNet-5 b128", "step_lenet5_b128_highest", _us, "us", "<= 60", "<= 20"),
    Goal("the same to PyTorch eager", "step_lenet5_b128_highest", _against(*ANY_LAYOUT), "x",
         ">= 8", "-"),
    Goal("the same to PyTorch's CUDA graph", "step_lenet5_b128_highest", _against("torch_graph"),
         "x", ">= 1.5", ">= 3"),
    Goal("step ResNet-18 32x32 b512 bfloat16", "step_resnet18_32_b512_medium", _us, "us", "<= 8000",
         "<= 5000"),
    Goal("the same to PyTorch compiled", "step_resnet18_32_b512_medium", _against("torch_compiled"),
         "x", ">= 1.0", ">= 1.3"),
    Goal("step ResNet-18 32x32 b128 bfloat16 to eager", "step_resnet18_32_b128_medium",
         _against(*ANY_LAYOUT), "x", ">= 1.5", ">= 2"),
    Goal("step ResNet-18 32x32 b128 float32 to eager NCHW", "step_resnet18_32_b128_highest",
         _against("torch"), "x", ">= 2", ">= 4"),
]  # fmt: skip


def figure_of(goal: Goal, results: Results) -> str:
    """As the tables show it: "not measured" where a row that it needs is absent."""
    pattern = re.compile(goal.rows)
    own = [
        result for name, result in results.items()
        if pattern.fullmatch(name) and result["status"] == "ok"
    ]  # fmt: skip
    figure = goal.figure(own, results) if own else None
    return "not measured" if figure is None else f"{figure:.3g} {goal.unit}"


def in_order(names: list[str]) -> list[str]:
    """Rows that goals speak of first, in the order of the goals, behind the copy that they are
    compared with: a run may be cut short.
    """
    patterns = [re.compile(goal.rows) for goal in GOALS]

    def place(name: str) -> int:
        found = [i for i, pattern in enumerate(patterns) if pattern.fullmatch(name)]
        return -1 if name == COPY else min(found, default=len(patterns))

    return sorted(names, key=place)
