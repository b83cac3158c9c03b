"""Ops bound by memory (pooling, batch norm, loss, Adam) beside PyTorch.

From the root of the source tree: ``python -m bench.bench_memory [options of neurona bench]``.
"""

import sys

from neurona.cli import main

if __name__ == "__main__":
    sys.exit(
        main(["bench", "max_pool2d", "batch_norm_relu", "cross_entropy", "adam", *sys.argv[1:]])
    )
