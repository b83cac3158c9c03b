"""Convolutions, plain and transposed, beside PyTorch.

From the root of the source tree: ``python -m bench.bench_conv2d [options of neurona bench]``.
"""

import sys

from neurona.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "conv2d", "conv_transpose2d", *sys.argv[1:]]))
