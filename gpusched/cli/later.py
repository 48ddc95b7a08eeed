"""Commands of the plan that are not of this version: each says so, and what to do instead.

They are here so that a user who read about one is not told that he mistyped it.
"""

from gpusched.cli.command import Command, Invocation, complain, no_arguments
from gpusched.cli.exits import BAD_REQUEST

INSTEAD: dict[str, str] = {
    "bentoml": "it arrives with the integrations; instead: `gpusched run -- bentoml serve`",
}
"""By command: when it comes, and what would do today."""


def _run(invocation: Invocation) -> int:
    complain(f"`{invocation.name}` is not in this version: {INSTEAD[invocation.name]}")
    return BAD_REQUEST


COMMANDS = {name: Command(no_arguments, _run) for name in INSTEAD}
