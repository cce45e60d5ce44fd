"""Benchmarks: each step of the engine against what one would use instead, in one run, on the same data."""
