"""Bentos as users write them, served by BentoML in environments of its own."""
