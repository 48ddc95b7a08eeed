"""A process that asks the daemon for itself: a line of JSON in, a line of JSON out.

Run as `python -m tests.e2e.faulty.caller SOCKET`; it lives until its standard input ends.
"""

import json
import sys

from gpusched.client.errors import GpuschedError
from gpusched.client.thin import ThinClient


def main(path: str) -> None:
    """Answer each line `[method, message]` with the reply, or with `{"refused": sentence}`."""
    client = ThinClient(path)
    for line in sys.stdin:
        method, message = json.loads(line)
        try:
            reply = client.call(method, message).fields
        except GpuschedError as error:
            reply = {"refused": error.sentence, "kind": type(error).__name__}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
