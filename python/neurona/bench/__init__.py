"""Benchmarks: neurona beside other libraries, verified before they are timed.

``neurona bench`` is the command; the rows are data in ``shapes/*.csv``.
"""
