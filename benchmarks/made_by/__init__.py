"""What other programs make of one talk, for `benchmarks/tools.py`."""
