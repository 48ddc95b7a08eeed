"""The machine that the tests of this folder share, booted once for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import capabilities
from tests.systemd import rootfs
from tests.systemd.asking import MAJOR, NODE, Asked
from tests.systemd.machine import Machine


@pytest.fixture(scope="package")
def machine() -> Iterator[Machine]:
    """A booted machine with no network and nothing of gpusched installed.

    It ends with these tests: it is a child of this process, which others count.
    """
    capabilities.require("nspawn")
    try:
        made = Machine()
    except rootfs.Unavailable as why:
        if "nspawn" in capabilities.required_names():
            pytest.fail(f"no machine: {why}", pytrace=False)
        pytest.skip(f"nspawn: {why}")
    try:
        made.boot()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="package")
def package(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The wheel of the package as it is now: its path in the machine."""
    wheel: Path = rootfs.package(tmp_path_factory.mktemp("package"))
    target = f"/var/tmp/{wheel.name}"  # noqa: S108 - of the machine
    machine.put(wheel, target)
    return target


@pytest.fixture
def agent(machine: Machine) -> Iterator[Asked]:
    """The agent, with a node to open; what it made is gone at the end."""
    machine.told("rm", "-f", NODE)
    asked = Asked(machine)
    try:
        asked.tell("node", NODE, MAJOR, 0)
        yield asked
    finally:
        asked.end()
        machine.run(["systemctl", "stop", "gpusched.slice", "gpusched_users.slice"])
        machine.run(["systemctl", "stop", "user-*-gpusched_*.slice"])
