"""
Compiled kernels of neurona. Not a public module: use neurona.kernels.
"""
from __future__ import annotations
import collections.abc
import numpy
import typing
__all__: list[str] = ['Guards', 'PackedWeight', 'Recording', 'adadelta_step', 'adagrad_step', 'adam_step', 'adamax_step', 'adaptive_avg_pool2d_backward', 'adaptive_avg_pool2d_forward', 'add', 'affine_sample', 'available_isas', 'avg_pool2d_backward', 'avg_pool2d_forward', 'batch_norm_backward', 'batch_norm_forward', 'bed_of_nails_forward', 'conv2d_backward', 'conv2d_backward_bias', 'conv2d_backward_data', 'conv2d_backward_weight', 'conv2d_forward', 'conv2d_plan', 'conv_transpose2d_backward_data', 'conv_transpose2d_backward_weight', 'conv_transpose2d_forward', 'count_wrong_boards', 'count_wrong_jobs', 'cpu_info', 'cross_entropy_forward', 'div', 'dropout', 'elu_backward', 'elu_forward', 'empty', 'empty_cache', 'fast_convolutions', 'focal_loss_forward', 'gelu_backward', 'gelu_forward', 'gemm', 'hard_sigmoid_backward', 'hard_sigmoid_forward', 'isa', 'leaky_relu_backward', 'leaky_relu_forward', 'linear_backward', 'linear_backward_data', 'linear_backward_weight', 'linear_forward', 'log_softmax_backward', 'log_softmax_forward', 'max', 'max_pool2d_backward', 'max_pool2d_forward', 'max_unpool2d_backward', 'max_unpool2d_forward', 'mean', 'measure_bandwidth', 'measure_fma_peak', 'memory_statistics', 'min_pool2d_backward', 'min_pool2d_forward', 'mul', 'nadam_step', 'num_threads', 'pairwise_distances', 'philox', 'pointwise_loss_forward', 'pool2d_indices', 'random_normal', 'random_uniform', 'relu_backward', 'relu_forward', 'reorder', 'resample2d_backward', 'resample2d_forward', 'rmsprop_step', 'set_cache_limit', 'set_fast_convolutions', 'set_flush_denormal', 'set_isa', 'set_num_threads', 'sgd_step', 'sigmoid_backward', 'sigmoid_forward', 'silu_backward', 'silu_forward', 'softmax_backward', 'softmax_forward', 'softplus_backward', 'softplus_forward', 'sub', 'sum', 'tanh_backward', 'tanh_forward']
class Guards:
    """
    What is to stay as it is, each thing by its identity.
    """
    def __init__(self) -> None:
        ...
    def attribute(self, owner: typing.Any, name: str) -> None:
        """
        The attribute of this name.
        """
    def elements(self, owner: list) -> None:
        """
        The elements of a list.
        """
    def entry(self, owner: dict, key: typing.Any) -> None:
        """
        The value of this key, or that there is none.
        """
    def hold(self) -> bool:
        """
        Whether all of it still is what it was when it was named.
        """
class Recording:
    """
    Kernel calls of one thread, noted between start and stop. Whoever repeats them keeps the arrays that they work on.
    """
    @staticmethod
    def stop() -> None:
        """
        Note no more calls of this thread.
        """
    def __init__(self) -> None:
        ...
    def change(self, call: typing.SupportsInt | typing.SupportsIndex, numbers: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        """
        Give the call of this number, an optimizer's step or a random draw, other numbers.
        """
    def replay(self) -> None:
        """
        Repeat the calls in their order, on the same memory.
        """
    def start(self) -> None:
        """
        Note the calls of this thread from here on.
        """
    @property
    def refusal(self) -> str:
        """
        Why the calls cannot be repeated; empty if they can.
        """
    @property
    def size(self) -> int:
        """
        The number of calls noted.
        """
class PackedWeight:
    """
    The weights of a convolution or a linear layer in the orders in which the kernels read them, each made when it is first needed.
    """
    def __init__(self, weight: typing.Any) -> None:
        ...
def adadelta_step(params: typing.Any, grads: typing.Any, square_avgs: typing.Any, acc_deltas: typing.Any, *, lr: typing.Any, rho: typing.Any = 0.9, eps: typing.Any = 1e-06, weight_decay: typing.Any = 0.0, maximize: typing.Any = False) -> None:
    """
    Updates params, square_avgs and acc_deltas in place.
    """
def adagrad_step(params: typing.Any, grads: typing.Any, sums: typing.Any, *, step: typing.Any, lr: typing.Any, lr_decay: typing.Any = 0.0, eps: typing.Any = 1e-10, weight_decay: typing.Any = 0.0, maximize: typing.Any = False, eps_inside: typing.Any = False) -> None:
    """
    Updates params and sums in place; step counts from 1.
    """
def adam_step(params: typing.Any, grads: typing.Any, exp_avgs: typing.Any, exp_avg_sqs: typing.Any, *, step: typing.Any, lr: typing.Any, beta1: typing.Any = 0.9, beta2: typing.Any = 0.999, eps: typing.Any = 1e-08, weight_decay: typing.Any = 0.0, decoupled: typing.Any = False, maximize: typing.Any = False, max_exp_avg_sqs: typing.Any = None) -> None:
    """
    Updates params, exp_avgs, exp_avg_sqs and (amsgrad) max_exp_avg_sqs in place; decoupled=True is AdamW.
    """
def adamax_step(params: typing.Any, grads: typing.Any, exp_avgs: typing.Any, exp_infs: typing.Any, *, step: typing.Any, lr: typing.Any, beta1: typing.Any = 0.9, beta2: typing.Any = 0.999, eps: typing.Any = 1e-08, weight_decay: typing.Any = 0.0, maximize: typing.Any = False) -> None:
    """
    Updates params, exp_avgs and exp_infs in place; step counts from 1.
    """
def adaptive_avg_pool2d_backward(dy: typing.Any, input_size: typing.Any) -> numpy.ndarray:
    """
    dx (N, C, H, W): dy (N, C, P, Q) spread evenly over its window; input_size = (H, W).
    """
def adaptive_avg_pool2d_forward(x: typing.Any, output_size: typing.Any) -> numpy.ndarray:
    """
    Averages over a grid of output_size = (P, Q) windows that cover x (N, C, H, W).
    """
def add(a: typing.Any, b: typing.Any) -> numpy.ndarray:
    """
    a + b with NumPy's broadcasting; a or b may be a number.
    """
def affine_sample(images: typing.Any, matrices: typing.Any, fill: typing.Any = 0.0, displacements: typing.Any = None) -> numpy.ndarray:
    """
    Each of the images (N, C, H, W) seen through its own of the matrices (N, 2, 3), moved by the displacements (N, 2, H, W), sampled bilinearly; `fill` outside.
    """
def available_isas() -> list[str]:
    """
    The instruction sets that were built and that this processor has, weakest first.
    """
def avg_pool2d_backward(dy: typing.Any, input_size: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, ceil_mode: typing.Any = False, count_include_pad: typing.Any = True, divisor_override: typing.Any = None) -> numpy.ndarray:
    """
    dx (N, C, H, W): dy (N, C, P, Q) / divisor added to every pixel of its window; input_size = (H, W).
    """
def avg_pool2d_forward(x: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, ceil_mode: typing.Any = False, count_include_pad: typing.Any = True, divisor_override: typing.Any = None) -> numpy.ndarray:
    """
    The average of each window, y (N, C, P, Q).
    """
def batch_norm_backward(dy: typing.Any, x: typing.Any, weight: typing.Any, mean: typing.Any, invstd: typing.Any, *, training: typing.Any, y: typing.Any = None) -> tuple:
    """
    (dx, dweight (C,), dbias (C,)). y: the output, if that is of relu=True.
    """
def batch_norm_forward(x: typing.Any, weight: typing.Any, bias: typing.Any, running_mean: typing.Any, running_var: typing.Any, *, training: typing.Any, momentum: typing.Any = 0.1, eps: typing.Any = 1e-05, relu: typing.Any = False) -> tuple:
    """
    (y, mean (C,), invstd (C,)) of x (N, C), (N, C, L) or (N, C, H, W); updates running_* in place when training. relu: y is max(0, ..).
    """
def bed_of_nails_forward(x: typing.Any, kernel_size: typing.Any) -> numpy.ndarray:
    """
    y (N, C, H kh, W kw): x at the top left corners of blocks that are 0 elsewhere.
    """
def conv2d_backward(dy: typing.Any, x: typing.Any, weight: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, dilation: typing.Any = 1, groups: typing.Any = 1, with_bias: bool = True, variant: typing.Any = None) -> tuple:
    """
    dy (N, K, P, Q), x (N, C, H, W), weight (K, C/groups, R, S) -> (dx (N, C, H, W), dw (K, C/groups, R, S), db (K,) or None): both at once.
    """
def conv2d_backward_bias(dy: typing.Any) -> numpy.ndarray:
    """
    dy (N, K, P, Q) -> db (K,), its sum over N, P and Q.
    """
def conv2d_backward_data(dy: typing.Any, weight: typing.Any, input_size: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, dilation: typing.Any = 1, groups: typing.Any = 1, variant: typing.Any = None) -> numpy.ndarray:
    """
    dy (N, K, P, Q), weight (K, C/groups, R, S), input_size (H, W) -> dx (N, C, H, W).
    """
def conv2d_backward_weight(dy: typing.Any, x: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, dilation: typing.Any = 1, groups: typing.Any = 1, with_bias: bool = True, variant: typing.Any = None) -> tuple:
    """
    dy (N, K, P, Q), x (N, C, H, W), kernel_size (R, S) -> (dw (K, C/groups, R, S), db (K,) or None).
    """
def conv2d_forward(x: typing.Any, weight: typing.Any, bias: typing.Any = None, *, stride: typing.Any = 1, padding: typing.Any = 0, dilation: typing.Any = 1, groups: typing.Any = 1, activation: typing.Any = None, variant: typing.Any = None) -> numpy.ndarray:
    """
    x (N, C, H, W), weight (K, C/groups, R, S), bias (K,) or None -> y (N, K, P, Q), P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.
    """
def conv2d_plan(x_shape: typing.Any, weight_shape: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, dilation: typing.Any = 1, groups: typing.Any = 1, direction: typing.Any = 'forward', variant: typing.Any = None) -> str:
    """
    Which algorithm runs this shape, and why; no kernel runs.
    """
def conv_transpose2d_backward_data(dy: typing.Any, weight: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, output_padding: typing.Any = 0, groups: typing.Any = 1, dilation: typing.Any = 1) -> numpy.ndarray:
    """
    dy (N, K, P, Q), weight (C, K/groups, R, S) -> dx (N, C, H, W).
    """
def conv_transpose2d_backward_weight(dy: typing.Any, x: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = 1, padding: typing.Any = 0, output_padding: typing.Any = 0, groups: typing.Any = 1, dilation: typing.Any = 1, with_bias: bool = True) -> tuple:
    """
    dy (N, K, P, Q), x (N, C, H, W) -> (dw (C, K/groups, R, S), db (K,) or None).
    """
def conv_transpose2d_forward(x: typing.Any, weight: typing.Any, bias: typing.Any = None, *, stride: typing.Any = 1, padding: typing.Any = 0, output_padding: typing.Any = 0, groups: typing.Any = 1, dilation: typing.Any = 1) -> numpy.ndarray:
    """
    x (N, C, H, W), weight (C, K/groups, R, S) -> y (N, K, P, Q), P = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.
    """
def count_wrong_boards(boards: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Runs many work boards on the threads; how many did not run each piece exactly once and its stages in order.
    """
def count_wrong_jobs(jobs: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Runs many small jobs on the threads; how many did not run each item exactly once.
    """
def cpu_info() -> dict:
    """
    Processor name, compiler of this module, cache sizes in bytes, and the thread budget with its reason.
    """
def cross_entropy_forward(x: typing.Any, target: typing.Any, *, weight: typing.Any = None, ignore_index: typing.Any = -100, reduction: typing.Any = 'mean', label_smoothing: typing.Any = 0.0, with_grad: typing.Any = True) -> tuple:
    """
    (loss, dx) of logits x (N, C) against target: classes (N,) of any integer type, or probabilities (N, C).
    """
def div(a: typing.Any, b: typing.Any) -> numpy.ndarray:
    """
    a / b with NumPy's broadcasting; a or b may be a number.
    """
def dropout(x: typing.Any, p: typing.Any, seed: typing.Any, offset: typing.Any) -> numpy.ndarray:
    """
    x with each element zeroed with probability p, the others divided by 1 - p (Srivastava et al. 2014); its own backward.
    """
def elu_backward(dy: typing.Any, x: typing.Any, alpha: typing.Any = 1.0) -> numpy.ndarray:
    """
    dy where x > 0, else dy alpha exp(x) -> dx.
    """
def elu_forward(x: typing.Any, alpha: typing.Any = 1.0) -> numpy.ndarray:
    """
    x where x > 0, else alpha (exp(x) - 1) -> y.
    """
def empty(shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], channels_last: bool = False) -> numpy.ndarray:
    """
    A new float32 array on the arena's memory; contents undefined.
    """
def empty_cache() -> None:
    """
    Gives cached memory blocks back to the system.
    """
def fast_convolutions() -> bool:
    """
    Whether the plan may choose algorithms that round more than a plain sum.
    """
def focal_loss_forward(x: typing.Any, target: typing.Any, *, gamma: typing.Any = 2.0, weight: typing.Any = None, ignore_index: typing.Any = -100, reduction: typing.Any = 'mean', with_grad: typing.Any = True) -> tuple:
    """
    (loss, dx) of logits x (N, C) against classes (N,) of any integer type.
    """
def gelu_backward(dy: typing.Any, x: typing.Any, approximate: typing.Any = 'none') -> numpy.ndarray:
    """
    dy gelu'(x) -> dx.
    """
def gelu_forward(x: typing.Any, approximate: typing.Any = 'none') -> numpy.ndarray:
    """
    x P(standard normal <= x), or its "tanh" form (Hendrycks and Gimpel 2016) -> y.
    """
def gemm(a: typing.Any, b: typing.Any, *, trans_a: typing.Any = False, trans_b: typing.Any = False, alpha: typing.Any = 1.0, beta: typing.Any = 0.0, c: typing.Any = None, bias: typing.Any = None, activation: typing.Any = None) -> numpy.ndarray:
    """
    act(alpha * op(a) @ op(b) + beta * c + bias) -> (M, N); with beta == 0, c is never read.
    """
def hard_sigmoid_backward(dy: typing.Any, x: typing.Any, slope: typing.Any = 0.5, shift: typing.Any = 0.5) -> numpy.ndarray:
    """
    dy slope where 0 < slope x + shift < 1, else 0 -> dx.
    """
def hard_sigmoid_forward(x: typing.Any, slope: typing.Any = 0.5, shift: typing.Any = 0.5) -> numpy.ndarray:
    """
    min(max(slope x + shift, 0), 1) -> y.
    """
def isa() -> str:
    """
    The instruction set in use.
    """
def leaky_relu_backward(dy: typing.Any, x: typing.Any, negative_slope: typing.Any = 0.01) -> numpy.ndarray:
    """
    dy where x > 0, else negative_slope dy -> dx.
    """
def leaky_relu_forward(x: typing.Any, negative_slope: typing.Any = 0.01) -> numpy.ndarray:
    """
    x where x > 0, else negative_slope x -> y.
    """
def linear_backward(dy: typing.Any, x: typing.Any, weight: typing.Any, *, with_bias: typing.Any = True, rectified: typing.Any = False) -> tuple:
    """
    What linear_backward_data and linear_backward_weight return: (dx, dw, db or None); with rectified dx is 0 where x, a ReLU's y, is not above 0.
    """
def linear_backward_data(dy: typing.Any, weight: typing.Any) -> numpy.ndarray:
    """
    dy @ weight: dy (N, out), weight (out, in) -> dx (N, in).
    """
def linear_backward_weight(dy: typing.Any, x: typing.Any, *, with_bias: typing.Any = True) -> tuple:
    """
    (dy.T @ x, column sums of dy): dw (out, in), db (out,) or None.
    """
def linear_forward(x: typing.Any, weight: typing.Any, bias: typing.Any = None, *, activation: typing.Any = None) -> numpy.ndarray:
    """
    act(x @ weight.T + bias): x (N, in), weight (out, in) -> y (N, out).
    """
def log_softmax_backward(dy: typing.Any, y: typing.Any, dim: typing.Any) -> numpy.ndarray:
    """
    dy - exp(y) sum dy along dim -> dx.
    """
def log_softmax_forward(x: typing.Any, dim: typing.Any) -> numpy.ndarray:
    """
    x - max - log sum exp(x - max) along dim -> y.
    """
def max(x: typing.Any, dim: typing.Any = None, keepdim: typing.Any = False) -> typing.Any:
    """
    The largest value, or (values, int64 indices) along an axis; the first winner counts, NaN wins.
    """
def max_pool2d_backward(dy: typing.Any, offsets: typing.Any, input_size: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, dilation: typing.Any = 1, ceil_mode: typing.Any = False, rectified: typing.Any = None) -> numpy.ndarray:
    """
    dx (N, C, H, W): each dy (N, C, P, Q) added to the element that won its window, if rectified (N, C, P, Q) is None or above 0 there; input_size = (H, W).
    """
def max_pool2d_forward(x: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, dilation: typing.Any = 1, ceil_mode: typing.Any = False, with_offsets: typing.Any = True) -> tuple:
    """
    The largest element of each window, y (N, C, P, Q), and its offset r * S + s or None.
    """
def max_unpool2d_backward(dy: typing.Any, indices: typing.Any) -> numpy.ndarray:
    """
    dx (N, C, P, Q): dy (N, C, H, W) read at the flat positions.
    """
def max_unpool2d_forward(x: typing.Any, indices: typing.Any, output_size: typing.Any) -> numpy.ndarray:
    """
    y (N, C, H, W): x (N, C, P, Q) at flat positions of planes H x W that are 0 elsewhere; the last of several values for one place stays.
    """
def mean(x: typing.Any, dim: typing.Any = None, keepdim: typing.Any = False) -> numpy.ndarray:
    """
    Mean of x over dim: an axis, a tuple of axes, or None for all; of nothing, nan.
    """
def measure_bandwidth(mebibytes: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex) -> float:
    """
    Memory bandwidth in bytes/s, measured with a triad over three arrays.
    """
def measure_fma_peak(seconds: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, sustained: bool = False) -> float:
    """
    Peak float32 multiply-add rate in flop/s, measured; sustained: the median instead of the best 0.1 ms.
    """
def memory_statistics() -> dict:
    """
    Bytes in use and bytes cached by the arena.
    """
def min_pool2d_backward(dy: typing.Any, offsets: typing.Any, input_size: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, dilation: typing.Any = 1, ceil_mode: typing.Any = False, rectified: typing.Any = None) -> numpy.ndarray:
    """
    dx (N, C, H, W): each dy (N, C, P, Q) added to the element that won its window, if rectified (N, C, P, Q) is None or above 0 there; input_size = (H, W).
    """
def min_pool2d_forward(x: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, dilation: typing.Any = 1, ceil_mode: typing.Any = False, with_offsets: typing.Any = True) -> tuple:
    """
    The smallest element of each window, y (N, C, P, Q), and its offset r * S + s or None.
    """
def mul(a: typing.Any, b: typing.Any) -> numpy.ndarray:
    """
    a * b with NumPy's broadcasting; a or b may be a number.
    """
def nadam_step(params: typing.Any, grads: typing.Any, exp_avgs: typing.Any, exp_avg_sqs: typing.Any, *, step: typing.Any, lr: typing.Any, gradient_rate: typing.Any, mean_rate: typing.Any, beta1: typing.Any = 0.9, beta2: typing.Any = 0.999, eps: typing.Any = 1e-08, weight_decay: typing.Any = 0.0, decoupled: typing.Any = False, maximize: typing.Any = False) -> None:
    """
    Updates params, exp_avgs and exp_avg_sqs in place; step counts from 1, and the two rates hold lr.
    """
def num_threads() -> int:
    """
    Threads that kernels use.
    """
def pairwise_distances(x: typing.Any, y: typing.Any, *, distance: typing.Any = 'l2', squared: typing.Any = False) -> numpy.ndarray:
    """
    d (N, M) in float64: the "l2" or "l1" distances, or their squares, between the rows of x (N, D) and y (M, D).
    """
def philox(seed: typing.Any, offset: typing.Any, count: typing.Any) -> numpy.ndarray:
    """
    uint32 words (count,) of Philox4x32-10 (Salmon et al. 2011).
    """
def pointwise_loss_forward(x: typing.Any, target: typing.Any, loss: typing.Any, *, parameter: typing.Any = 1.0, pos_weight: typing.Any = None, reduction: typing.Any = 'mean', with_grad: typing.Any = True, with_target_grad: typing.Any = False) -> tuple:
    """
    (loss, dx, dtarget) of x and a target of its shape; loss is 'mse', 'l1', 'huber', 'smooth_l1', 'hinge', 'bce', 'bce_with_logits', 'kl_div' or 'kl_div_log'.
    """
def pool2d_indices(offsets: typing.Any, input_size: typing.Any, kernel_size: typing.Any, *, stride: typing.Any = None, padding: typing.Any = 0, dilation: typing.Any = 1) -> numpy.ndarray:
    """
    int64 indices h * W + w of the winners, flat in each plane, from offsets (N, C, P, Q).
    """
def random_normal(shape: typing.Any, seed: typing.Any, offset: typing.Any, mean: typing.Any = 0.0, std: typing.Any = 1.0) -> numpy.ndarray:
    """
    Normal float32 numbers by Box and Muller's method (1958).
    """
def random_uniform(shape: typing.Any, seed: typing.Any, offset: typing.Any, low: typing.Any = 0.0, high: typing.Any = 1.0) -> numpy.ndarray:
    """
    Float32 numbers low + (high - low) (word >> 8) 2^-24.
    """
def relu_backward(dy: typing.Any, y: typing.Any) -> numpy.ndarray:
    """
    dy where y > 0, else 0 -> dx.
    """
def relu_forward(x: typing.Any) -> numpy.ndarray:
    """
    max(x, 0) -> y.
    """
def reorder(x: typing.Any, channels_last: typing.Any) -> numpy.ndarray:
    """
    The images x (N, C, H, W) in channels-last memory or in C order.
    """
def resample2d_backward(dy: typing.Any, rows: typing.Any, columns: typing.Any, input_size: typing.Any) -> numpy.ndarray:
    """
    dx (N, C, H, W): the adjoint of resample2d_forward; input_size = (H, W).
    """
def resample2d_forward(x: typing.Any, rows: typing.Any, columns: typing.Any) -> numpy.ndarray:
    """
    y (N, C, P, Q): x (N, C, H, W) read along both axes at (below, above, part), pixel below where above and part are None, else x[below] (1 - part) + x[above] part.
    """
def rmsprop_step(params: typing.Any, grads: typing.Any, square_avgs: typing.Any, buffers: typing.Any, *, lr: typing.Any, alpha: typing.Any = 0.99, eps: typing.Any = 1e-08, weight_decay: typing.Any = 0.0, momentum: typing.Any = 0.0, maximize: typing.Any = False, eps_inside: typing.Any = False) -> None:
    """
    Updates params, square_avgs and, when momentum != 0, buffers in place.
    """
def set_cache_limit(bytes: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    From how many bytes on a kernel stores its results past the caches; below 0: the L3.
    """
def set_fast_convolutions(fast: typing.Any) -> None:
    """
    Lets the plan choose algorithms that round more than a plain sum.
    """
def set_flush_denormal(mode: typing.Any) -> bool:
    """
    Flushes denormals to zero inside every op, or keeps them; False where that cannot be done.
    """
def set_isa(name: str) -> None:
    """
    Chooses the instruction set, for tests and lessons.
    """
def set_num_threads(n: typing.Any) -> None:
    """
    Sets the number of threads that kernels use, 1 to 1024.
    """
def sgd_step(params: typing.Any, grads: typing.Any, buffers: typing.Any, *, lr: typing.Any, momentum: typing.Any = 0.0, dampening: typing.Any = 0.0, weight_decay: typing.Any = 0.0, nesterov: typing.Any = False, maximize: typing.Any = False, first: typing.Any = False) -> None:
    """
    Updates params, and buffers when momentum != 0, in place; first=True sets the buffers to the gradient.
    """
def sigmoid_backward(dy: typing.Any, y: typing.Any) -> numpy.ndarray:
    """
    dy y (1 - y) -> dx.
    """
def sigmoid_forward(x: typing.Any) -> numpy.ndarray:
    """
    1 / (1 + exp(-x)) -> y.
    """
def silu_backward(dy: typing.Any, x: typing.Any) -> numpy.ndarray:
    """
    dy s (1 + x (1 - s)) with s = sigmoid(x) -> dx.
    """
def silu_forward(x: typing.Any) -> numpy.ndarray:
    """
    x sigmoid(x) -> y.
    """
def softmax_backward(dy: typing.Any, y: typing.Any, dim: typing.Any) -> numpy.ndarray:
    """
    y (dy - sum dy y) along dim -> dx.
    """
def softmax_forward(x: typing.Any, dim: typing.Any) -> numpy.ndarray:
    """
    exp(x - max) / sum exp(x - max) along dim -> y.
    """
def softplus_backward(dy: typing.Any, x: typing.Any, beta: typing.Any = 1.0, threshold: typing.Any = 20.0) -> numpy.ndarray:
    """
    dy sigmoid(beta x), and dy where beta x > threshold -> dx.
    """
def softplus_forward(x: typing.Any, beta: typing.Any = 1.0, threshold: typing.Any = 20.0) -> numpy.ndarray:
    """
    ln(1 + exp(beta x)) / beta, and x where beta x > threshold -> y.
    """
def sub(a: typing.Any, b: typing.Any) -> numpy.ndarray:
    """
    a - b with NumPy's broadcasting; a or b may be a number.
    """
def sum(x: typing.Any, dim: typing.Any = None, keepdim: typing.Any = False) -> numpy.ndarray:
    """
    Sum of x over dim: an axis, a tuple of axes, or None for all.
    """
def tanh_backward(dy: typing.Any, y: typing.Any) -> numpy.ndarray:
    """
    dy (1 - y^2) -> dx.
    """
def tanh_forward(x: typing.Any) -> numpy.ndarray:
    """
    tanh(x) -> y.
    """
