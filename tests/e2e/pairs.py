"""A client process of the crash test: allocates and releases until the daemon is killed.

Run as `python -m tests.e2e.pairs SOCKET`. Each line of standard input is a number of pairs to do;
the answer is a line of JSON with what the daemon had acknowledged. It always holds a lease while
it asks for the next, so that a crash finds something to lose.
"""

import json
import sys

from gpusched.client import Client
from gpusched.client.errors import DaemonUnreachable


class Record:
    """What one process was told by the daemon, over all rounds.

    Attributes:
        granted: Acknowledged grants.
        released: Acknowledged releases.
        doubtful: Leases whose release was asked for and not acknowledged.
    """

    def __init__(self) -> None:
        self.granted: list[str] = []
        self.released: list[str] = []
        self.doubtful: list[str] = []

    def allocate(self, client: Client) -> str:
        """Take a share, and note it."""
        lease = client.allocate(memory="64MiB").lease.id
        self.granted.append(lease)
        return lease

    def release(self, client: Client, lease: str) -> None:
        """Give a lease back, and note how far that came."""
        self.doubtful.append(lease)
        client.release(lease)
        self.doubtful.remove(lease)
        self.released.append(lease)


def play(socket: str, pairs: int) -> dict[str, list[str]]:
    """Do *pairs* pairs, or as many as the daemon lives for."""
    record = Record()
    try:
        with Client(socket) as client:
            held = record.allocate(client)
            for _ in range(pairs):
                following = record.allocate(client)
                record.release(client, held)
                held = following
    except DaemonUnreachable:
        pass
    return {
        "granted": record.granted,
        "released": record.released,
        "doubtful": record.doubtful,
    }


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(play(sys.argv[1], int(line))) + "\n")
        sys.stdout.flush()
