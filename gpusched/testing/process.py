"""The process of a simulated host: `gpusched serve`, tied to the life of the test that started it.

It is no child of the test, whose leases have the test's descendants: it forks, says its pid, and
leaves its parent. Its standard input is the tie. A line there, the words of `worker.start` in
JSON, starts a process without a lease, as a child of the daemon. The end of the input, also
because the test was killed, ends the daemon, what it started, and the folder.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from gpusched.testing.worker import HostFault, start


class _Tie:
    """Obeys the test, in a thread beside the daemon, until the test is gone."""

    def __init__(self) -> None:
        self.cut = False
        self._strays: list[subprocess.Popen[str]] = []

    def obey(self) -> None:
        for line in iter(sys.stdin.readline, ""):
            memory, environment = json.loads(line)
            print(self._started(memory, environment), flush=True)  # noqa: T201 - the answer
        self.cut = True
        for one in self._strays:
            one.kill()
        # As a service manager would: what was decided is committed before the end.
        signal.raise_signal(signal.SIGTERM)

    def _started(self, memory: str, environment: dict[str, str]) -> str:
        try:
            stray = start(memory, environment)
        except HostFault as fault:
            return json.dumps({"fault": str(fault)})
        self._strays.append(stray)
        # Nobody else waits for it: without this it would stay as a zombie, with its pid.
        threading.Thread(target=stray.wait, daemon=True).start()
        return json.dumps({"pid": stray.pid})


def main(folder: str, words: Sequence[str]) -> int:
    """Serve until told to end, or until the test is gone; give the exit code.

    Args:
        folder: Removed when the test is gone.
        words: Behind `gpusched`.
    """
    # After the fork: gRPC does not outlive one.
    from gpusched.bootstrap.serve import serve  # noqa: PLC0415 - see above
    from gpusched.cli.main import main as command_line  # noqa: PLC0415 - see above

    tie = _Tie()
    threading.Thread(target=tie.obey, daemon=True).start()
    code = command_line(words, serve)
    if tie.cut:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    child = os.fork()
    if child:
        print(child, flush=True)  # noqa: T201 - the answer
        os._exit(0)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
