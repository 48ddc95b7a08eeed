"""How fast the daemon answers while a call into the driver hangs, and while it is got rid of."""

import threading
from statistics import median
from time import perf_counter

from bench.figures import Figure, Goal
from gpusched.client.thin import ThinClient
from tools.stage import Failed, Stage

HOST = "8xH100"
HANGING = '[[device]]\nindex = 3\nfaults = { hang = "forever" }\n'
CONFIG = '[sampling]\ninterval = "200ms"\ndeadline = "1s"\n'
SECONDS = 8.0
PAUSE = 0.02


def hanging() -> list[Figure]:
    """Ask for the status over and over: the first sample that hangs, its end, the next ones."""
    with Stage(HOST) as stage:
        config = stage.folder / "gpusched.toml"
        config.write_text(CONFIG)
        stage.environment["GPUSCHED_CONFIG"] = str(config)
        stage.start_daemon()
        client = ThinClient(str(stage.socket))
        control = stage.state / "simulator" / "control.toml"
        fresh = control.with_suffix(".new")
        fresh.write_text(HANGING)
        fresh.replace(control)
        times: list[float] = []
        unread = _ask(client, times, SECONDS)
        if not unread:
            raise Failed("nothing hung")
    times.sort()
    most = times[-1] * 1e3
    detail = (
        f"p50 {median(times) * 1e3:.1f} ms of {len(times)}, {unread} of them without a reading"
    )
    return [Figure("status while a call hangs, the slowest", most, "ms", Goal(100), detail)]


def _ask(client: ThinClient, times: list[float], seconds: float) -> int:
    """Ask for so long; say how many answers had to tell that nothing is read."""
    pause, ends, unread = threading.Event(), perf_counter() + seconds, 0
    while perf_counter() < ends:
        began = perf_counter()
        unread += _is_unread(client)
        times.append(perf_counter() - began)
        pause.wait(PAUSE)
    return unread


def _is_unread(client: ThinClient) -> bool:
    driver = client.call("Node/Status").part("driver")
    return driver.text("state") != "DRIVER_STATE_ANSWERING"
