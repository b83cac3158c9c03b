"""Whole training steps and inference beside PyTorch.

From the root of the source tree: ``python -m bench.bench_steps [options of neurona bench]``.
"""

import sys

from neurona.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "train_step", "infer", *sys.argv[1:]]))
