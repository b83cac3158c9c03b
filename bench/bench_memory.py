"""Ops bound by memory (pooling, batch norm, activations, losses, optimizers) beside PyTorch.

From the root of the source tree: ``python -m bench.bench_memory [options of neurona bench]``.
"""

import sys

from neurona.cli import main

if __name__ == "__main__":
    ops = ["max_pool2d", "batch_norm_relu", "activation", "cross_entropy", "pointwise_loss"]
    sys.exit(main(["bench", *ops, "optimizer", *sys.argv[1:]]))
