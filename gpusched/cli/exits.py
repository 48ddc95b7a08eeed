"""Exit codes of gpusched itself; `run` ends with the command's own."""

from gpusched.client.exit_codes import (
    BAD_REQUEST,
    BROKEN_PIPE,
    DEFECT,
    INTERRUPTED,
    LATER,
    NEVER_HERE,
    NOT_ALLOWED,
    OK,
    UNREACHABLE,
    code_of,
)

__all__ = [
    "BAD_REQUEST",
    "BROKEN_PIPE",
    "DEFECT",
    "INTERRUPTED",
    "LATER",
    "NEVER_HERE",
    "NOT_ALLOWED",
    "OK",
    "UNREACHABLE",
    "code_of",
]
