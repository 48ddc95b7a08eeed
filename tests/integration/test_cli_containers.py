"""The command line asks the engine of the host: commands of these names, which a test writes."""

from pathlib import Path

import pytest

from gpusched.cli.container_engine import container_named, engine_here
from gpusched.cli.main import main
from tests.fakes.gateway import gateway, reply
from tests.fakes.messages import lease

ID, OTHER = "ab" * 32, "cd" * 32
GRANT = {
    "lease": lease("lease-a"),
    "cdi_name": "gpusched.io/lease=lease-a",
    "devices": [{"uuid": "GPU-a", "nodes": [{"path": "/dev/nvidia0"}]}],
    "container_environment": {"CUDA_VISIBLE_DEVICES": "0"},
}


class Commands:
    """A folder of commands, the only one that is searched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, **answers: str) -> None:
        """Write a command that answers by the first words that it is given, joined by `_`."""
        cases = "".join(f'"{key.replace("_", " ")}"*) {do};;\n' for key, do in answers.items())
        file = self._folder / name
        file.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1;;\nesac\n')
        file.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Commands(folder)


def docker(commands: Commands, version: str, info: str = "echo null") -> None:
    """Have Docker in a version; *info* answers what else is asked of it."""
    commands.put(
        "docker",
        **{"--version": f"echo Docker version {version}, build 1"},
        version=f"echo {version}",
        info=info,
    )


def test_docker_says_what_it_is(commands: Commands) -> None:
    """Its server's version counts, and where it looks for documents."""
    docker(commands, "28.1.1", """echo '["/etc/cdi", "nvidia"]'""")
    found = engine_here()
    assert found is not None
    assert (found.name, found.version, found.folders) == (
        "docker",
        (28, 1),
        ["/etc/cdi", "nvidia"],
    )
    assert found.nvidia


@pytest.mark.parametrize("info", ["echo null", "echo '{broken'", "exit 1"])
def test_an_older_docker_does_not_say(commands: Commands, info: str) -> None:
    """A version that knows no such word has no folders, and no runtime that it does not name."""
    docker(commands, "24.0.9", info)
    found = engine_here()
    assert found is not None
    assert (found.version, found.folders, found.nvidia) == ((24, 0), None, False)


def test_podman_where_docker_does_not_answer(commands: Commands) -> None:
    """A client without its daemon is no engine."""
    commands.put("docker", **{"--version": "echo Docker version 28.2.2, build 1"})
    commands.put("podman", **{"--version": "echo podman version 4.3.1"})
    found = engine_here()
    assert found is not None
    assert (found.name, found.text) == ("podman", "4.3.1")


def test_podman_under_dockers_name(commands: Commands) -> None:
    """What calls itself docker and is Podman is asked as Podman."""
    words = "echo podman version 5.2.0"
    commands.put("docker", **{"--version": words}, version="echo 5.2.0")
    found = engine_here()
    assert found is not None
    assert (found.name, found.version) == ("podman", (5, 2))


def test_no_engine(commands: Commands) -> None:
    """Without one there is none, also where a command of the name does not run."""
    assert engine_here() is None
    commands.put("podman")
    assert engine_here() is None
    assert container_named("web") == []


@pytest.mark.parametrize("words", ["env l --format docker", "allocate --format docker"])
def test_the_flags_are_for_the_engine(
    commands: Commands, socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Flags go to the output alone; what to know beside them is on the other stream."""
    answers = {"Leases/Environment": reply(GRANT), "Leases/Allocate": reply(GRANT)}
    with gateway(socket_folder, answers) as asked:
        docker(commands, "28.2.2", """echo '["/var/run/cdi"]'""")
        assert main(["--socket", str(asked.path), *words.split()], never) == 0
        assert capsys.readouterr() == ("--device gpusched.io/lease=lease-a\n", "")
        docker(commands, "24.0.9")
        assert main(["--socket", str(asked.path), *words.split()], never) == 0
        said = capsys.readouterr()
        assert said.out == "--device=/dev/nvidia0 -e CUDA_VISIBLE_DEVICES=0\n"
        assert "gpusched attach lease-a --container C" in said.err
        docker(commands, "18.09.1")
        before = len(asked.asked)
        assert main(["--socket", str(asked.path), *words.split()], never) == 64
        assert "19.03" in capsys.readouterr().err
        # Nobody would know the lease that he was refused the flags of.
        assert "Leases/Allocate" not in [method for method, _ in asked.asked[before:]]


def test_a_container_is_attached_by_its_name(
    commands: Commands, socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Engines know names and say the id; what none knows is left to the daemon."""
    answers = {"Leases/Attach": reply({"lease": lease("lease-a")})}
    with gateway(socket_folder, answers) as asked:
        attach = ["--socket", str(asked.path), "attach", "l", "--container", "web"]
        assert main(attach, never) == 0
        assert asked.asked[-1][1]["container"] == "web"
        commands.put("podman", container_inspect=f"echo {ID}")
        assert main(attach, never) == 0
        assert asked.asked[-1][1]["container"] == ID
        assert "container web is under lease-a" in capsys.readouterr().out
        commands.put("docker", container_inspect=f"echo {OTHER}")
        assert main(attach, never) == 64
        assert "podman has abababababab" in capsys.readouterr().err
        # Podman's own, asked under both names.
        commands.put("docker", container_inspect=f"echo {ID}")
        assert main(attach, never) == 0


def test_a_unit_is_attached_by_its_name(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Units are known to the daemon, and no engine is asked."""
    with gateway(socket_folder, {"Leases/Attach": reply({"lease": lease("lease-a")})}) as asked:
        attach = ["--socket", str(asked.path), "attach", "l", "--unit", "web.service"]
        assert main(attach, never) == 0
    assert asked.asked == [("Leases/Attach", {"lease_id": "l", "unit": "web.service"})]
    assert capsys.readouterr().out == "web.service is under lease-a\n"


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError
