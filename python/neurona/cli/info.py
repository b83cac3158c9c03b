"""`neurona info`: what a bug report needs."""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

from . import errors, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = "examples:\n  neurona info\n  neurona info --json\n"
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def collect() -> dict[str, Any]:
    """Versions, processor, thread budget, data folders and the environment variables in effect."""
    import numpy as np

    import neurona

    from ..backends import cpu
    from ..datasets import search_folders

    processor = dict(cpu.cpu_info())
    return {
        "versions": {
            "neurona": neurona.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "compiler": processor["compiler"],
        "platform": platform.platform(),
        "processor": {
            "name": processor["name"],
            "caches": {level: processor[level] for level in ("l1d", "l2", "l3")},
            "isas": list(cpu.available_isas()),
            "isa": cpu.isa(),
        },
        "threads": {
            "used": cpu.num_threads(),
            "budget": processor["threads"],
            "reason": processor["reason"],
            "affinity": processor["affinity"],
            # 0 stands for "no quota"
            "quota": processor["quota"] or None,
            "host": os.cpu_count(),
        },
        "data": [{"folder": str(folder), "exists": folder.is_dir()} for folder in search_folders()],
        "environment": {
            name: os.environ[name]
            for name in sorted(os.environ)
            if name.startswith("NEURONA_") or name in ("OMP_NUM_THREADS", "XDG_CACHE_HOME")
        },
    }


def _size(count: int) -> str:
    return f"{count / 2**20:.4g} MiB" if count >= 2**20 else f"{count / 2**10:.4g} KiB"


def run(args: argparse.Namespace) -> int:
    """Prints the facts as lines `name: value`, or as JSON."""
    facts = collect()
    if args.json:
        options.print_json("info", **facts)
        return errors.OK
    processor, threads = facts["processor"], facts["threads"]
    caches = ", ".join(f"{name} {_size(count)}" for name, count in processor["caches"].items())
    lines = [
        *(f"{name}: {version}" for name, version in facts["versions"].items()),
        f"compiler: {facts['compiler']}",
        f"platform: {facts['platform']}",
        f"processor: {processor['name']}",
        f"caches: {caches}",
        f"isa: {processor['isa']} (found: {', '.join(processor['isas'])})",
        f"threads: {threads['used']} (budget {threads['budget']}: {threads['reason']}; "
        f"affinity {threads['affinity']}, quota {threads['quota'] or 'none'}, "
        f"host {threads['host']})",
        *(
            f"data: {entry['folder']}{'' if entry['exists'] else ' (missing)'}"
            for entry in facts["data"]
        ),
        *(f"environment: {name}={value}" for name, value in facts["environment"].items()),
    ]
    print("\n".join(lines))
    return errors.OK
