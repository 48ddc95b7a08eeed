"""Exit codes of gpusched's own commands, and which of them a refusal is.

Here, because what `integrations` start ends with the same codes as the command line.
"""

from gpusched.client import errors

OK = 0
BAD_REQUEST = 64
UNREACHABLE = 69
DEFECT = 70
LATER = 75
NOT_ALLOWED = 77
NEVER_HERE = 78
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13

_CODES: dict[type[errors.GpuschedError], int] = {
    errors.BadRequest: BAD_REQUEST,
    errors.CouldFitLater: LATER,
    errors.NeverHere: NEVER_HERE,
    errors.NotAllowed: NOT_ALLOWED,
    errors.NotFound: BAD_REQUEST,
    errors.NotYet: BAD_REQUEST,
    errors.WrongState: BAD_REQUEST,
    errors.DaemonUnreachable: UNREACHABLE,
    errors.DaemonFault: DEFECT,
}


def code_of(error: errors.GpuschedError) -> int:
    """Give the exit code for what the daemon said."""
    return _CODES.get(type(error), DEFECT)
