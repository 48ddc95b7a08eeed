"""What runs in the machine for the tests of the slices: does what it is told, line by line.

Exists because D-Bus, cgroups and pids of the machine are to be used from inside. A line of input
is a JSON array, the name of a method of `Agent` and its arguments; the answer is one JSON object
with `value` or `error`. Only what the machine's Python has may be imported.
"""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from stat import S_IFCHR

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.systemd.bus import SystemdBus
from gpusched.adapters.systemd.slices import SliceHome
from gpusched.core.ids import LeaseId
from gpusched.core.mask import Mask, NodeRange, Rule
from gpusched.ports import EnforceError
from tests.fakes.waiting import until

_CGROUPS = Path("/sys/fs/cgroup")
# Tries to open a node each time it is sent a line; says the number of the error, or 0.
_OPENER = """
import os, sys
for line in sys.stdin:
    try:
        os.close(os.open(line.strip(), os.O_RDWR)); print(0, flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


class Agent:
    """A home of slices, and processes to put into it."""

    def __init__(self) -> None:
        self._home = SliceHome()
        self._programs = Programs()
        self._processes: dict[int, subprocess.Popen[str]] = {}

    async def use(self, address: str | None, patience: float) -> None:
        """Ask systemd in another way from now on."""
        await self._home.close()
        self._home = SliceHome(SystemdBus(patience, address))

    async def make(self, lease: str, uid: int) -> str:
        """Make a slice."""
        return await self._home.make(LeaseId(lease), uid)

    async def enter(self, path: str, pids: list[int]) -> None:
        """Move processes into it."""
        await self._home.enter(path, pids)

    async def remove(self, path: str) -> None:
        """Remove it."""
        await self._home.remove(path)

    async def all(self) -> list[str]:
        """List the slices."""
        return list(await self._home.all())

    async def deny(self, path: str, major: int, first: int = 0) -> None:
        """Put a program on it that denies every node of *major*, from the minor *first* on."""
        mask = Mask((Rule(allow=False, nodes=NodeRange(major, first, 255)),))
        self._programs.apply(_CGROUPS / path.lstrip("/"), mask)

    async def widen(self, path: str) -> None:
        """Take systemd's own program off a cgroup behind its back, as NVIDIA's older runtime."""
        folder = os.open(_CGROUPS / path.lstrip("/"), os.O_RDONLY)
        for number in bpf.query(folder):
            program = bpf.prog_fd_by_id(number)
            if not bpf.prog_info(program).name.startswith("gs_"):
                bpf.detach(folder, program)
            os.close(program)
        os.close(folder)

    async def opener(self) -> int:
        """Start a process that opens what `opens` says; give its pid."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - quick, and our own words
            [sys.executable, "-c", _OPENER], stdin=pipe, stdout=pipe, text=True
        )
        self._processes[process.pid] = process
        return process.pid

    async def opens(self, pid: int, node: str) -> int:
        """Have a process open a node; give the number of the error, or 0."""
        process = self._processes[pid]
        assert process.stdin is not None
        assert process.stdout is not None
        print(node, file=process.stdin, flush=True)
        return int(process.stdout.readline())

    async def end(self, pid: int) -> None:
        """End a process by closing its input."""
        process = self._processes.pop(pid)
        process.communicate()

    async def node(self, path: str, major: int, minor: int) -> None:
        """Make a character device."""
        os.mknod(path, S_IFCHR | 0o666, os.makedev(major, minor))

    async def timed(self, rounds: int) -> list[list[float]]:
        """Make, enter, remove, and ask one question: the milliseconds of the four, by round."""
        figures = []
        bus = SystemdBus()
        for number in range(rounds):
            pid = await self.opener()
            times = [time.perf_counter()]
            path = await self._home.make(LeaseId(f"lease-timed{number}"), 0)
            times.append(time.perf_counter())
            await self._home.enter(path, [pid])
            times.append(time.perf_counter())
            await self.end(pid)
            events = _CGROUPS / path.lstrip("/") / "cgroup.events"
            await until(lambda: "populated 0" in events.read_text())  # noqa: B023 -- used up here
            ended = time.perf_counter()
            await self._home.remove(path)
            removed = time.perf_counter()
            await bus.call("GetUnit", "s", "-.slice")
            asked = time.perf_counter()
            pairs = [*itertools.pairwise(times), (ended, removed), (removed, asked)]
            figures.append([1000 * (after - before) for before, after in pairs])
        await bus.close()
        return figures

    async def answer(self, line: str) -> dict[str, object]:
        """Do what a line says."""
        name, *arguments = json.loads(line)
        try:
            return {"value": await getattr(self, name)(*arguments)}
        except EnforceError as error:
            return {"error": str(error)}

    async def serve(self) -> None:
        """Answer line by line until the input ends."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            with contextlib.redirect_stdout(sys.stderr):  # for whatever logs
                answer = await self.answer(line)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        for pid in list(self._processes):
            await self.end(pid)
        await self._home.close()
        self._programs.close()


if __name__ == "__main__":
    asyncio.run(Agent().serve())
