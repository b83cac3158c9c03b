"""`import neurona` costs at most 50 ms more than `import numpy`: median of interleaved runs."""

import statistics
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
    extra = []
    for _ in range(ROUNDS):
        numpy = seconds("import numpy")
        extra.append(seconds("import neurona") - numpy)
    median = statistics.median(extra)
    print(f"import neurona: numpy + {median * 1e3:.1f} ms (limit {LIMIT * 1e3:.0f} ms)")
    return 0 if median <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
