"""Starts daemons that are `gpusched serve` as it is, with a fuse at each boundary of their work.

Run as `python -m tests.e2e.faulty FOLDER`; FOLDER has the fuse's orders and its record. Each line
on standard input is a list in JSON, a cgroup's directory and the words of a command line: a
daemon is forked into it. Its pid is answered, and its wait status when it has ended. What is
imported is imported once: that is most of the time that a start takes.
"""

import json
import os
import sys
from pathlib import Path

from gpusched.bootstrap.serve import serve
from gpusched.cli.main import main
from tests.e2e.faulty.boundaries import Bounded
from tests.e2e.faulty.fuse import Fuse


def _serve(folder: Path, cgroup: str, words: list[str]) -> int:
    (Path(cgroup) / "cgroup.procs").write_text("0")
    os.dup2(os.open(os.devnull, os.O_RDWR), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    bounded = Bounded(Fuse(folder))
    return main(words, lambda options: serve(options, bounded.wrap))


def _bear(folder: Path) -> None:
    for line in iter(sys.stdin.readline, ""):
        cgroup, *words = json.loads(line)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = _serve(folder, cgroup, words)
            finally:
                os._exit(code)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _bear(Path(sys.argv[1]))
