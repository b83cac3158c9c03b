"""Entry scripts of the benchmarks; the harness is ``neurona.bench``."""
