"""Two servers that start on one device do so one after the other."""

from tests.e2e.host import Host, lease_of


def test_the_second_waits_until_the_first_has_settled() -> None:
    """A share is refused for later while a lease starts there, then granted."""
    with Host("2xA100-40GB") as host:
        host.config.write_text(
            host.config.read_text() + '[devices]\nsettle_starts = "40s"\nplacement = "pack"\n'
        )
        host.start_daemon()
        first = host.worker("3GiB", "--device", "0", "--memory", "4GiB")
        lease = lease_of(first.pid)
        wish = ("allocate", "--device", "0", "--memory", "4GiB")
        refused = host.refused(75, *wish)
        assert f"{lease} starts there: its memory settles, at most" in refused
        assert host.allocate("--device", "1", "--memory", "4GiB")
        # A quarter of the 40 s without growth.
        host.until(lambda: not host.gpusched(*wish).returncode, 30)
        # The second starts now, and nobody has entered it.
        host.refused(75, *wish)
