"""Starts the worker of one peer: ``python launch.py torch``.

Run as a plain script, so that the interpreter of a peer needs neither neurona nor an installation
of this package.
"""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    worker = importlib.import_module("peers.worker")
    peer = importlib.import_module(f"peers.{sys.argv[1]}_peer")
    # The folder would shadow top-level modules of the same names that the libraries import later.
    del sys.path[0]
    worker.serve(peer)
