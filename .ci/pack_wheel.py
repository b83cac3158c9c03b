"""Packs the installed neurona as the wheel that pip built and threw away: building takes minutes.

It goes to the folder that is given, with the same files, compressed by the same method.
"""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import PackagePath, distribution
from pathlib import Path

# What pip writes beside a wheel's own files.
OF_PIP = {"INSTALLER", "REQUESTED", "direct_url.json"}


def is_of_the_wheel(file: PackagePath) -> bool:
    return file.name not in OF_PIP and file.suffix != ".pyc" and ".." not in file.parts


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    installed = distribution("neurona")
    facts = (installed.read_text("WHEEL") or "").splitlines()
    tag = next(line.split(": ")[1] for line in facts if line.startswith("Tag: "))
    files = [file for file in installed.files or [] if is_of_the_wheel(file)]
    wheel = folder / f"neurona-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            if file.name != "RECORD":
                packed.write(Path(str(file.locate())), str(file))
        record = next(file for file in files if file.name == "RECORD")
        lines = record.read_text().splitlines(keepends=True)
        kept = [line for line in lines if is_of_the_wheel(PackagePath(line.split(",")[0]))]
        packed.writestr(str(record), "".join(kept))
    print(f"{wheel}: {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
