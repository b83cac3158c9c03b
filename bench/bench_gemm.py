"""Matrix products and linear layers beside PyTorch and NumPy.

From the root of the source tree: ``python -m bench.bench_gemm [options of neurona bench]``.
"""

import sys

from neurona.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "gemm", "linear", *sys.argv[1:]]))
