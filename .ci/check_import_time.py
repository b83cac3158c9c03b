"""`import neurona` costs at most 50 ms more than `import numpy`: fastest of interleaved runs.

The fastest, because on a busy machine the median of the very same import moved from 32 to 93 ms.
"""

import subprocess
import sys
import time

LIMIT = 0.050
ROUNDS = 11


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> int:
    seconds("import neurona")  # writes the byte code
    numpy, neurona = [], []
    for _ in range(ROUNDS):
        numpy.append(seconds("import numpy"))
        neurona.append(seconds("import neurona"))
    extra = min(neurona) - min(numpy)
    print(f"import neurona: numpy + {extra * 1e3:.1f} ms (limit {LIMIT * 1e3:.0f} ms)")
    return 0 if extra <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
