"""Tells the user something on standard error, between BentoML's own lines."""

import sys

from gpusched.client.errors import GpuschedError


def tell(sentence: str) -> None:
    """Write one line."""
    sys.stderr.write(f"gpusched: {' '.join(sentence.split())}\n")
    sys.stderr.flush()


def tell_refusal(error: GpuschedError) -> None:
    """Write why not, and what tells more."""
    tell(error.sentence)
    if error.hint_command:
        tell(f"this tells more: {error.hint_command}")
