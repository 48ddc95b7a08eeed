"""A machine for these tests alone, for they reboot it and take gpusched away; and its wheels."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import capabilities
from tests.systemd import rootfs
from tests.systemd.machine import Machine
from tests.systemd.service.installed import NEWER, Installed, with_version

_TMP = "/var/tmp"  # noqa: S108 - of the machine


@pytest.fixture(scope="package")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The package as it is now, and the same under a newer version."""
    capabilities.require("nspawn")
    folder = tmp_path_factory.mktemp("wheels")
    now = rootfs.package(folder)
    return [now, with_version(now, folder, NEWER)]


@pytest.fixture(scope="module")
def bare(wheels: list[Path]) -> Iterator[Installed]:
    """A machine with the wheels and without gpusched; one per file of tests."""
    yield from _booted(wheels)


@pytest.fixture(scope="package")
def lasting(wheels: list[Path]) -> Iterator[Installed]:
    """A machine with the service, for the files that leave it as it is."""
    for one in _booted(wheels):
        yield one.simulated()


def _booted(wheels: list[Path]) -> Iterator[Installed]:
    machine = Machine()
    try:
        machine.boot()
        for wheel in wheels:
            machine.put(wheel, f"{_TMP}/{wheel.name}")
        machine.told("useradd", "--create-home", "ann")
        yield Installed(machine, f"{_TMP}/{wheels[0].name}")
    finally:
        machine.close()


@pytest.fixture(scope="module")
def service(bare: Installed) -> Installed:
    """The same with the service over four simulated devices."""
    return bare.simulated()


@pytest.fixture
def host(service: Installed) -> Iterator[Installed]:
    """The service, with all devices free before and after."""
    yield service
    service.end_all()


@pytest.fixture
def newer(wheels: list[Path]) -> str:
    """Where the newer wheel lies in the machine."""
    return f"{_TMP}/{wheels[1].name}"
