"""The process of a simulated host: `gpusched serve`, tied to the life of the test that started it.

It is no child of the test, whose leases have the test's descendants: it forks, says its pid, and
leaves its parent. Its standard input is the tie. A line there is in JSON: the words of
`worker.start` start a process without a lease, as a child of the daemon; a pid names one that the
test has started. The end of the input, also because the test was killed, ends the daemon, these
processes, and the folder.
"""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from gpusched.testing.worker import HostFault, start


class _Tie:
    """Obeys the test, in a thread beside the daemon, until the test is gone."""

    def __init__(self) -> None:
        self.cut = False
        self._tied: list[int] = []
        """Descriptors: a pid may be another process's by then."""

    def obey(self) -> None:
        for line in iter(sys.stdin.readline, ""):
            said = json.loads(line)
            answer = self._tied_to(said) if isinstance(said, int) else self._started(*said)
            print(answer, flush=True)  # noqa: T201 - the answer
        self.cut = True
        for one in self._tied:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(one, signal.SIGKILL)
        # As a service manager would: what was decided is committed before the end.
        signal.raise_signal(signal.SIGTERM)

    def _tied_to(self, pid: int) -> str:
        with suppress(ProcessLookupError):
            self._tied.append(os.pidfd_open(pid))
        return "{}"

    def _started(self, memory: str, environment: dict[str, str]) -> str:
        try:
            stray = start(memory, environment)
        except HostFault as fault:
            return json.dumps({"fault": str(fault)})
        self._tied_to(stray.pid)
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
