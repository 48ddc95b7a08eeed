"""Runs one code block of a document as its reader would, in a folder and a shell of its own."""

import configparser
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from tests.blocks import Block
from tests.e2e.cgroups import Cgroups
from tests.e2e.host import Host, kill
from tests.e2e.servers import BIN, free_port
from tools.stage import END_SECONDS, GPUSCHED, Failed, waiting

_SECONDS = 20.0
_READERS_OWN = ("train.py", "serve.py")  # programs that stand for the reader's own
_SHELL = ("bash", "-euo", "pipefail", "-c")
_PROMPT = "$ "


class Wrong(AssertionError):
    """A block does not do what its document says."""


class Desk:
    """Where the blocks of one document are run: a folder, beside a simulated daemon.

    Args:
        host: Whose daemon answers.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.folder = host.folder / "desk"
        self.folder.mkdir()
        for name in _READERS_OWN:
            self.write(name, "")
        # As on a host with GPUs, though there is none.
        own = self.folder / ".bin"
        own.mkdir()
        (own / "nvidia-smi").symlink_to(GPUSCHED)
        path = (own, BIN, GPUSCHED.parent, host.environment["PATH"])
        self._environment = {
            **host.environment,
            "HOME": str(self.folder),
            "PATH": ":".join(map(str, path)),
            # A daemon that a block starts is another one.
            "GPUSCHED_STATE_DIR": str(self.folder / "state"),
            "PORT": str(free_port()),
        }
        self._cgroups = Cgroups(self.folder / "state", simulated=True)

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def do(self, block: Block) -> str:
        """Run or read a block; give what it printed.

        Raises:
            Wrong: It fails, or cannot be run and does not say why.
        """
        if block.language in _READERS:
            return self._read(block)
        if "file" in block.markers:
            return self._compile(block)
        command = _command(block)
        job = _Job(command, self._environment, self.folder)
        try:
            return self._watch(job, block)
        finally:
            job.end()
            self._host.sweep()
            self._cgroups.clear(kill)

    def _watch(self, job: "_Job", block: Block) -> str:
        if text := block.markers.get("until"):
            return job.until(text)
        code = job.code()
        wanted = int(block.markers.get("fails", "0"))
        if code != wanted:
            raise Wrong(f"ended with {code} instead of {wanted}:\n{job.said}")
        if missing := printed(job.said, _shown(block)):
            raise Wrong(f"has not printed {missing}:\n{job.said}")
        return job.said

    def _compile(self, block: Block) -> str:
        """Say whether a program that a later block runs can be one."""
        if block.language == "python":
            try:
                compile(block.text, block.markers["file"], "exec")
            except SyntaxError as error:
                raise Wrong(f"is no python: {error}") from error
        return ""

    def _read(self, block: Block) -> str:
        try:
            _READERS[block.language](block.text)
        except Exception as error:
            raise Wrong(f"is no {block.language}: {error}") from error
        if block.language == "toml" and "file" not in block.markers:
            self.write("checked.toml", block.text)
            place = str(self.folder / "checked.toml")
            done = self._host.gpusched("config", "check", "--config", place)
            if done.returncode:
                raise Wrong(done.stderr)
        return ""


class _Job:
    """A running block: a session of its own, and what all in it have said so far."""

    def __init__(
        self, command: tuple[str, ...], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our documents' words
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._hear)
        self._reader.start()

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)

    def until(self, text: str) -> str:
        """Wait until it has said *text*; give all that it has said."""
        try:
            for _ in waiting(_SECONDS, text):
                over = not self._reader.is_alive()
                if text in self.said:
                    return self.said
                if over:
                    break
        except Failed:
            pass
        raise Wrong(f"has not said {text!r}:\n{self.said}")

    def code(self) -> int:
        """Wait for the end of the block itself, not of what it left in the background."""
        try:
            code = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(f"does not end, and has no `until`:\n{self.said}") from None
        # What it has printed last may not have been read yet.
        self._reader.join(timeout=0.2)
        return code

    def end(self) -> None:
        """End all that is left of it; its pipe is closed when the last process has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            self._reader.join(timeout=END_SECONDS)
            if not self._reader.is_alive():
                break
        self._process.wait()
        self._reader.join(timeout=END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _command(block: Block) -> tuple[str, ...]:
    if block.language in {"", "bash"}:
        typed = re.findall(r"^\$ (.+)$", block.text, re.MULTILINE)
        prompted = block.text.startswith(_PROMPT)
        return (*_SHELL, "\n".join(typed) if prompted else block.text)
    if block.language == "python":
        return (sys.executable, "-c", block.text)
    raise Wrong(f"nothing runs {block.language}; mark it")


def _shown(block: Block) -> str:
    """Give what stands beside prompts: it is what was printed."""
    if not block.text.startswith(_PROMPT):
        return ""
    lines = block.text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_PROMPT))


def _ini(text: str) -> None:
    # As systemd reads units: keys may be repeated, and a percent sign is nobody's.
    reader = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    reader.read_string(text)


_READERS: Mapping[str, Callable[[str], object]] = {
    "ini": _ini,
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
}
"""What only has to be right: by language."""


def printed(said: str, expected: str) -> list[str]:
    """Give the lines that a block should have printed and has not; … stands for anything."""
    lines = [" ".join(one.split()) for one in said.splitlines()]
    missing = []
    for line in expected.splitlines():
        pattern = ".*".join(map(re.escape, " ".join(line.split()).split("…")))
        if not any(re.fullmatch(pattern, one) for one in lines):
            missing.append(line)
    return missing
