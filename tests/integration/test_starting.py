"""What is asked of a daemon before its doors are open."""

import signal

from gpusched.core.policy import Policy
from gpusched.daemon.lifecycle import Reloaded
from tests.fakes.builders import UNREADABLE
from tests.fakes.daemon import LONG, READABLE, DaemonHost, end
from tests.fakes.waiting import until


async def test_reload_before_the_doors_open() -> None:
    """SIGHUP ends no daemon that starts: it reads the configuration again as soon as it serves."""
    host = DaemonHost()
    host.clock.reboot()
    host.boot_patience, host.interval = 30.0, 0.001
    host.sampler.reading = UNREADABLE
    host.reloaded = Reloaded(Policy(history=5), LONG, {"history": "5"})
    running = host.launch()
    await until(lambda: host.sampler.calls >= 1)
    signal.raise_signal(signal.SIGHUP)
    await until(lambda: host.sampler.calls >= 3)
    assert "reload" not in host.journal
    host.sampler.reading = READABLE
    await until(lambda: "reload" in host.journal)
    assert host.doors.authority is not None
    told = "configuration read: history = 5"
    await until(lambda: told in [one.sentence for one in host.disk.stories.values()])
    await end(running)
