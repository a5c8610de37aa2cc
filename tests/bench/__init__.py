"""Measurements side by side with others, as ratios: `python -m tests.bench`, or `make bench`.

Each module here has a `rows()` that yields measurements; `__main__` prints what they found.
"""
