"""`gpusched bentoml` and what it puts before each worker, against a gateway; without BentoML."""

import errno
import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from gpusched.integrations.bentoml import showing
from gpusched.integrations.bentoml.command import NoBentoML, command_of
from tests.fakes.gateway import Script, gateway, refusal, reply
from tests.fakes.messages import Fields, lease

_LEASE = lease("lease-a")
_REQUEST = {"request_id": "bento:1.2/Svc", "count": 1, "labels": {"bentoml.service": "Svc"}}
_GRANT: Fields = {"lease": _LEASE, "environment": {"CUDA_VISIBLE_DEVICES": "4"}}


def _script(folder: Path, first: str, *, name: str = "bentoml") -> None:
    """A `bentoml` whose first line says which Python it is of."""
    folder.mkdir(exist_ok=True)
    made = folder / name
    made.write_text(f"{first}\nimport bentoml\n")
    made.chmod(0o755)


def _gpusched(
    folder: Path, *words: str, answers: Script | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    with gateway(folder, answers or {"Node/Ping": reply({})}) as served:
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "gpusched", *words],
            env={
                "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
                "GPUSCHED_SOCKET": str(served.path),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )


def _refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpusched: ")
    return line


def test_without_bentoml(socket_folder: Path) -> None:
    """Where there is no `bentoml` it says so, with a shell's exit code."""
    line = _refused(_gpusched(socket_folder, "bentoml", "serve", "svc:Svc"), 127)
    assert "bentoml: command not found" in line


@pytest.mark.parametrize(
    "first",
    ["#!/no/python", "\x7fELF", "#!/usr/bin/env python-no", "#!/usr/bin/env bash", "#!/bin/sh"],
)
def test_a_bentoml_of_no_known_python(socket_folder: Path, first: str) -> None:
    """A script that names no Python which is here, as a shim of pyenv does not, is named, with
    what would do instead; nothing is started.
    """
    _script(socket_folder / "bin", first)
    line = _refused(_gpusched(socket_folder, "bentoml", "serve", "svc:Svc"), 127)
    assert f"{socket_folder}/bin/bentoml: its first line names no Python" in line
    assert "gpusched run --gpus N -- bentoml serve" in line


def test_a_bentoml_that_may_not_be_read(
    socket_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that this user may run and may not read is named, with what would do instead."""
    _script(socket_folder, f"#!{sys.executable}")

    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(NoBentoML, match="cannot be read: Permission denied; instead, `gpusched"):
        command_of(["serve"], {"PATH": str(socket_folder)})


@pytest.mark.parametrize(
    "first",
    [
        f"#!{sys.executable}",
        f"#!{sys.executable} -s",
        f"#!/usr/bin/env {sys.executable}",
        f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''",
    ],
)
def test_the_python_of_bentoml_is_found(socket_folder: Path, first: str) -> None:
    """However an installer names it, that Python is become; here it has no BentoML."""
    _script(socket_folder / "bin", first)
    done = _gpusched(socket_folder, "bentoml", "serve", "svc:Svc", "--port", "3000")
    line = _refused(done, 78)
    assert "BentoML of no version has not what `gpusched bentoml` wraps" in line


def test_a_socket_is_found_from_every_folder(socket_folder: Path) -> None:
    """Workers run in the folder of their bento; a relative socket is the daemon's there, too."""
    python = socket_folder / "python-says"
    python.write_text("#!/bin/sh\necho $GPUSCHED_SOCKET\n")
    python.chmod(0o755)
    _script(socket_folder / "bin", f"#!{python}")
    with gateway(socket_folder, {"Node/Ping": reply({})}) as served:
        relative = os.path.relpath(served.path)
        done = subprocess.run(
            [sys.executable, "-m", "gpusched", "bentoml", "serve", "svc:Svc"],
            env={"PATH": f"{socket_folder / 'bin'}:/usr/bin:/bin", "GPUSCHED_SOCKET": relative},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.stdout, done.stderr) == (f"{served.path}\n", "")


def test_under_a_lease(socket_folder: Path) -> None:
    """Below `gpusched run` it takes no leases of its own, and says what to do."""
    done = _gpusched(socket_folder, "bentoml", "serve", "svc:Svc", GPUSCHED_LEASE="lease-x")
    assert "this is under lease-x already" in _refused(done, 64)


def test_no_daemon_is_said_before_the_bento_is_loaded(socket_folder: Path) -> None:
    """Without a daemon nothing is started: one sentence, and its exit code."""
    _script(socket_folder / "bin", f"#!{sys.executable}")
    done = _gpusched(
        socket_folder, "bentoml", "serve", "svc:Svc", GPUSCHED_SOCKET=str(socket_folder / "none")
    )
    assert "no daemon" in _refused(done, 69)


def test_help_is_ours_before_serve_only(socket_folder: Path) -> None:
    """`gpusched bentoml --help` is ours; what stands behind `serve` is BentoML's."""
    done = _gpusched(socket_folder, "bentoml", "--help")
    assert done.returncode == 0
    assert "usage: gpusched bentoml serve" in done.stdout


def test_an_old_python() -> None:
    """BentoML for a Python that is too old for this is told so, with what would do."""
    python, dash, code, *rest = showing.started(sys.executable, "serving")
    old = f"import sys; sys.version_info = (3, 9, 2)\n{code}"
    done = subprocess.run(  # noqa: S603 - our own program
        [python, dash, old, *rest], capture_output=True, text=True, check=False
    )
    assert "BentoML's Python is 3.9, and `gpusched bentoml` needs 3.11" in _refused(done, 64)


def _enter(parent: object, *command: str) -> list[str]:
    return showing.started(sys.executable, "enter", str(parent), json.dumps(_REQUEST), *command)


def _worker(
    folder: Path, answers: Script, *, parent: int | None = None, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[tuple[str, Fields]]]:
    """Start a worker, which prints its pid, mask and parent's pid; give what was asked."""
    says = "import os; print(os.getpid(), os.environ['CUDA_VISIBLE_DEVICES'])"
    command = [sys.executable, "-c", says]
    with gateway(folder, answers) as served:
        done = subprocess.run(  # noqa: S603 - our own program
            _enter(parent or os.getpid(), *command),
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path), **variables},
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        return done, served.asked


_GRANTED: Script = {
    "Node/Ping": reply({}),
    "Leases/AllocateStream": (reply({"grant": _GRANT}), b"\n"),
    "Leases/Attach": reply({"lease": _LEASE}),
    "Leases/Environment": reply(_GRANT),
}


def test_a_worker_comes_into_its_lease_and_becomes_itself(socket_folder: Path) -> None:
    """It asks as its service did, attaches itself, and executes with the lease's variables."""
    done, asked = _worker(socket_folder, _GRANTED, CUDA_VISIBLE_DEVICES="7")
    assert done.stdout.split()[1] == "4"
    assert "worker of Svc: CUDA_VISIBLE_DEVICES=7 is overridden: the lease has 4" in done.stderr
    methods = dict(asked)
    assert methods["Leases/AllocateStream"] == {**_REQUEST, "wait_without_limit": True}
    assert methods["Leases/Attach"] == {"lease_id": "lease-a", "caller": True}


def test_a_worker_whose_bentoml_is_gone(socket_folder: Path) -> None:
    """One that is started while BentoML is killed asks for nothing: nobody would wait for it."""
    done, asked = _worker(socket_folder, _GRANTED, parent=1)
    assert (done.returncode, done.stdout, asked) == (143, "", [])


_ORPHANED = """
import os, subprocess, sys
words = [str(os.getpid()) if one == "PARENT" else one for one in sys.argv[1:]]
print(subprocess.Popen(words).pid, flush=True)
sys.stdin.read()
"""


def test_a_worker_that_waits_ends_with_bentoml(socket_folder: Path) -> None:
    """After `kill -9` of BentoML no worker goes on waiting for devices; its place is given up."""
    waiting = {"waiting": {"request": _REQUEST, "position": 1, "waits_for": "the end of x"}}
    answers: Script = {
        "Node/Ping": reply({}),
        "Leases/AllocateStream": (reply(waiting), b"\n"),
        "Leases/Cancel": reply({}),
    }
    enter = _enter("PARENT", "/bin/true")
    with gateway(socket_folder, answers) as served:
        parent = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _ORPHANED, *enter],
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert parent.stdout is not None
        assert parent.stderr is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        assert b"waits, place 1" in parent.stderr.readline()
        parent.kill()
        ended = select.select([worker], [], [], 10)[0]
        os.close(worker)
        assert ended
        parent.communicate()
        asked = served.asked
    assert asked[-1] == ("Leases/Cancel", {"request_id": _REQUEST["request_id"]})


def test_a_worker_that_is_refused_ends_with_the_code(socket_folder: Path) -> None:
    """What the daemon refuses ends the worker with the sentence; BentoML starts it again."""
    kind = {"kind": "REJECTION_KIND_NEVER_HERE"}
    answer = refusal("FAILED_PRECONDITION", "no such devices", kind, 409)
    refusing: Script = {**_GRANTED, "Leases/AllocateStream": answer}
    done, _ = _worker(socket_folder, refusing)
    assert _refused(done, 78) == "gpusched: worker of Svc: no such devices"
