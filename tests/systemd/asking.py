"""The agent in the machine as tests see it: they tell it what to do, and hear how it went."""

import json
import subprocess
from typing import Final

from tests.systemd.machine import Machine

MAJOR: Final = 60  # for experiments; nobody's driver
NODE: Final = "/dev/gpusched-test"


class Refusal(Exception):
    """What the agent says was refused."""


class Asked:
    """The agent in the machine."""

    def __init__(self, machine: Machine) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            machine.command(["python3", "-Bm", "tests.systemd.agent"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=machine.environment(),
            text=True,
        )

    def tell(self, verb: str, *arguments: object) -> None:
        """Have it do something."""
        assert self._answer(verb, arguments) is None

    def text(self, verb: str, *arguments: object) -> str:
        """Have it do something that gives words."""
        value = self._answer(verb, arguments)
        assert isinstance(value, str)
        return value

    def number(self, verb: str, *arguments: object) -> int:
        """Have it do something that gives a number."""
        value = self._answer(verb, arguments)
        assert isinstance(value, int)
        return value

    def rows(self, verb: str, *arguments: object) -> list[list[float]]:
        """Have it measure."""
        value = self._answer(verb, arguments)
        assert isinstance(value, list)
        return value

    def paths(self) -> list[str]:
        """List the slices."""
        value = self._answer("all", ())
        assert isinstance(value, list)
        return value

    def end(self) -> None:
        """Let it end itself and its processes."""
        self._process.communicate(timeout=10)

    def _answer(self, verb: str, arguments: tuple[object, ...]) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([verb, *arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the agent has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Refusal(answer["error"])
        return answer["value"]
