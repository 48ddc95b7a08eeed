"""gpusched on a slow disk: `python -m bench.slow_daemon MILLISECONDS serve …`.

Every commit takes so much longer, in the thread that writes. The daemon has no setting for this,
and needs none.
"""

import sys
import threading

from gpusched.__main__ import main
from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.ports import Batch


def slow_down(seconds: float) -> None:
    """Add *seconds* to every commit of this process."""
    commit, pause = SqliteStore.commit, threading.Event()

    def slowly(store: SqliteStore, batch: Batch) -> None:
        pause.wait(seconds)
        commit(store, batch)

    setattr(SqliteStore, "commit", slowly)  # noqa: B010 - a plain assignment is no override


if __name__ == "__main__":
    slow_down(float(sys.argv[1]) / 1000)
    sys.argv = ["gpusched", *sys.argv[2:]]
    sys.exit(main())
