"""A host to which things happen that a file tells, and what the command line prints of it then.

The words of a command go the whole way but for the socket: parser, JSON, service, decision,
message, screen. The format of the files is told in `tests/unit/golden/explain/README.md`.
"""

import asyncio
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias, cast

import pytest

from gpusched.api.v1 import request_pb2
from gpusched.cli import main as command_line
from gpusched.cli.allocation import request_of
from gpusched.cli.parser import parse
from gpusched.client.document import Document
from gpusched.client.errors import error_of
from gpusched.client.thin import ThinClient
from gpusched.config.read import parse as configuration
from gpusched.core.changes import PolicyChanged
from gpusched.core.durations import parse_duration
from gpusched.core.events import AllocateRequested, AttachRequested
from gpusched.core.ids import Caller, LeaseId
from gpusched.core.replies import Rejected
from gpusched.rpc.asking import checked
from gpusched.rpc.call import Call, Refused
from gpusched.rpc.host import Host
from gpusched.rpc.registry import answer, registry_of
from gpusched.rpc.world import World
from gpusched.web.message_input import message_from_json
from gpusched.web.message_json import text_of
from tests.fakes.authority import FakeAuthority
from tests.fakes.builders import process, standing
from tests.fakes.clock import FakeClock, FakeIds
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.seen import Seen, device_of
from tests.fakes.units import FakeUnits

Step: TypeAlias = Mapping[str, object]

USERS = {"root": 0, "ann": 1000, "bob": 1001, "carol": 1002, "dave": 1003}
"""Who there is, by name; root administers."""

HOST = Host("host-1", "0.1.0", "/run/gpusched/gpusched.sock", "boot", 1, 8, 64 << 30)
NOTHING: Mapping[str, object] = {}
SECOND = 10**9
TICK = 10 * SECOND
"""Between two samples while a situation lets time pass, in nanoseconds."""


class Situation:
    """A daemon in memory over the devices of one host.

    Args:
        host: Its devices, as the files name them.
        config: Text of the configuration file.
        start: What the first sample shows beside the devices.
    """

    def __init__(
        self, host: Sequence[str], config: str = "", start: Mapping[str, object] = NOTHING
    ) -> None:
        devices = [one for place, name in enumerate(host) for one in device_of(place, name)]
        self.seen = Seen(tuple(devices))
        self.seen.change(start, USERS)
        self.clock = FakeClock(10_000 * SECOND)
        self.authority = FakeAuthority(self.clock, lambda: self.seen.sample(self.clock.now()))
        self.authority.become(PolicyChanged(configuration(config).policy))
        surveyor = FakeSampler()
        self._world = World(
            self.authority, self.clock, FakeIds(), FakeProcessTable(), HOST, surveyor, FakeUnits()
        )
        self._methods = registry_of(self._world)
        self.authority.tick()

    def happen(self, step: Step) -> None:
        """Let one thing happen.

        Raises:
            ValueError: Nobody knows what, or a command fails.
        """
        rest = dict(step)
        by = caller(str(rest.pop("by", "ann")))
        (what,) = set(rest) & set(_STEPS)
        _STEPS[what](self, rest, by)

    def printed(
        self, command: str, by: str, capsys: pytest.CaptureFixture[str]
    ) -> tuple[str, int]:
        """Run a command as a user; give what it prints, complaints last, and its exit code."""
        capsys.readouterr()
        first, *words = shlex.split(command)
        if first != "gpusched":
            raise ValueError(f"{command!r} is no command of gpusched")
        with self._answering(caller(by)):
            code = command_line.main(words, _never)
        found = capsys.readouterr()
        return found.out + found.err, code

    @contextmanager
    def _answering(self, by: Caller) -> Iterator[None]:
        def call(_client: ThinClient, method: str, message: object = None) -> Document:
            return self._call(method, json.dumps(message or {}).encode(), by)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ThinClient, "call", call)
            patch.setattr("gpusched.cli.words.time.time_ns", lambda: self.clock.now().wall)
            # A grant must not make this process a worker.
            patch.setattr(os, "execvpe", _never)
            yield

    def _call(self, name: str, body: bytes, by: Caller) -> Document:
        service, _, verb = name.partition("/")
        method = self._methods[service, verb]
        try:
            message = message_from_json(method.request, body)
            reply = asyncio.run(answer(method, message, Call(by)))
        except Refused as refused:
            rejection = "{}" if refused.rejection is None else text_of(refused.rejection)
            raise error_of(refused.code.value, refused.sentence, json.loads(rejection)) from None
        return Document(json.loads(text_of(reply)))

    def run(self, step: dict[str, object], by: Caller) -> None:
        """Run a command, which must succeed."""
        words = shlex.split(str(step["run"]))[1:]
        with self._answering(by):
            code = command_line.main([*words, "--quiet"], _never)
        if code:
            raise ValueError(f"{step['run']} ended with {code}")

    def queue(self, step: dict[str, object], by: Caller) -> None:
        """Ask for devices with these flags, and do not wait for the answer."""
        invocation, _ = parse(["allocate", *shlex.split(str(step["queue"]))])
        body = json.dumps(request_of(invocation.options)).encode()
        message = message_from_json(self._methods["Leases", "Allocate"].request, body)
        lease = self._world.ids.lease_id()
        wish = asyncio.run(
            checked(self._world, cast("request_pb2.AllocateRequest", message), Call(by), lease)
        )
        reply = self.authority.propose(AllocateRequested(by, wish, lease))
        if isinstance(reply, Rejected):
            raise TypeError(f"{step['queue']} was refused: {reply.sentence}")

    def attach(self, step: dict[str, object], by: Caller) -> None:
        """Put a process into a lease."""
        lease, pid = LeaseId(str(step["lease"])), _number(step["attach"])
        self.seen.members[lease] = self.seen.members.get(lease, frozenset()) | {process(pid)}
        event = AttachRequested(by, lease, process(pid), standing(pid, uid=by.uid))
        if isinstance(reply := self.authority.propose(event), Rejected):
            raise TypeError(reply.sentence)

    def leave(self, step: dict[str, object], _by: Caller) -> None:
        """End a process of a lease; a sample is taken."""
        gone = process(_number(step["exit"]))
        self.seen.members = {lease: of - {gone} for lease, of in self.seen.members.items()}
        self.seen.rows = {
            device: tuple(row for row in rows if row.pid != gone.pid)
            for device, rows in self.seen.rows.items()
        }
        self.clock.advance(SECOND)
        self.authority.tick()

    def show(self, step: dict[str, object], _by: Caller) -> None:
        """Let samples show something else from now on; one is taken."""
        self.seen.change(cast("Mapping[str, object]", step["show"]), USERS)
        self.clock.advance(SECOND)
        self.authority.tick()
        self.seen.faults = ()

    def wait(self, step: dict[str, object], _by: Caller) -> None:
        """Let time pass, with samples."""
        left = parse_duration(str(step["wait"]), "wait")
        while left > 0:
            self.clock.advance(min(TICK, left))
            left -= TICK
            self.authority.tick()

    def stall(self, step: dict[str, object], _by: Caller) -> None:
        """Let time pass without a sample."""
        self.clock.advance(parse_duration(str(step["stall"]), "stall"))


_STEPS: dict[str, Callable[[Situation, dict[str, object], Caller], None]] = {
    "run": Situation.run,
    "queue": Situation.queue,
    "attach": Situation.attach,
    "exit": Situation.leave,
    "show": Situation.show,
    "wait": Situation.wait,
    "stall": Situation.stall,
}


def caller(name: str) -> Caller:
    """Give who calls.

    Raises:
        KeyError: Nobody has that name.
    """
    uid = USERS[name]
    return Caller(uid, uid, process(2000 + uid), name, uid == 0)


def _never(*_options: object) -> int:
    raise AssertionError


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value
