"""The decisions of gpusched as values in, values out.

No I/O, no clock, no randomness, no logging in here: whatever decides must be testable without a
machine. The import contract `pure-core` keeps this.
"""
