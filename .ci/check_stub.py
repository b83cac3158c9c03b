"""The committed stub of the extension is what the built one says; --write renews it."""

import subprocess
import sys
import tempfile
from pathlib import Path

COMMITTED = Path(__file__).parent.parent / "python" / "neurona" / "_core.pyi"


def generate() -> str:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "pybind11_stubgen"),
                *("neurona._core", "-o", folder, "--exit-code"),
            ],
            check=True,
        )
        return (Path(folder) / "neurona" / "_core.pyi").read_text()


def main() -> int:
    generated = generate()
    if "--write" in sys.argv:
        COMMITTED.write_text(generated)
        return 0
    if generated != COMMITTED.read_text():
        print("python/neurona/_core.pyi is out of date: run python .ci/check_stub.py --write")
        return 1
    print("up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
