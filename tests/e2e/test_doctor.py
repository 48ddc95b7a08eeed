"""`gpusched doctor` beside a running daemon: it hears from it, and disturbs nothing."""

from tests.e2e.host import Host


def test_beside_a_daemon(host: Host) -> None:
    """It says that the daemon answers, of which version, and that its devices are simulated."""
    before = host.told("status").number("generation")
    done = host.gpusched("doctor")
    line = next(one for one in done.stdout.splitlines() if one.split()[1:2] == ["daemon"])
    assert line.startswith("OK    daemon             answers, version ")
    assert "SIMULATED" in line
    assert host.told("status").number("generation") == before
