"""The wheel stays under 3 MB: python .ci/check_wheel_size.py FOLDER."""

import sys
from pathlib import Path

LIMIT = 3_000_000


def main() -> int:
    (wheel,) = Path(sys.argv[1]).glob("neurona-*.whl")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB (limit {LIMIT / 1e6:.0f} MB)")
    return 0 if size <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
