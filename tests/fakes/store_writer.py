"""A daemon reduced to its writer: commits lease after lease until it is killed or refused.

Run as `python -m tests.fakes.store_writer PATH FIRST [FILE_LIMIT]`. Prints the number of each
lease once its commit has returned; a refusal is printed as `refused: …` and ends it with 1.
Every third commit is power-safe. FILE_LIMIT (bytes) imitates a full disk.
"""

import itertools
import resource
import sys
from pathlib import Path

from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.core.changes import LeaseChanged, StoryKind, StoryLine, StoryTold
from gpusched.core.ids import BootId, Instant, LeaseId, Moment, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.request import Request
from gpusched.ports import Batch, StoreError


def lease(number: int) -> Lease:
    return Lease(
        id=LeaseId(f"lease-{number:010}"),
        state=LeaseState.ACTIVE,
        request=Request(request_id=RequestId(f"request-{number}")),
        uid=1000,
        gid=1000,
        user="ann",
        shares=(),
        created=Moment(Instant(number), number),
    )


def batch(number: int) -> Batch:
    """One granted lease, with its story."""
    granted = lease(number)
    line = StoryLine(number, StoryKind.GRANTED, granted.id, "granted", sequence=number)
    changes = (LeaseChanged(granted), StoryTold(line))
    return Batch(changes, number, Instant(number), power_safe=number % 3 == 0)


def main(path: Path, first: int, file_limit: int = resource.RLIM_INFINITY) -> int:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    store = SqliteStore(path)
    try:
        store.load(BootId("boot"))
        for number in itertools.count(first):
            store.commit(batch(number))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
    except StoreError as error:
        sys.stdout.write(f"refused: {error}\n")
    finally:
        store.close()
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
