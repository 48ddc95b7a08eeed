"""What is never attached, whoever asks: the daemon, and with process 1 the whole host."""

import pytest

from gpusched.core.ids import Caller
from gpusched.core.standing import Standing
from gpusched.rpc.call import Code, Refused
from gpusched.rpc.standing import nobody_elses
from tests.fakes.builders import ADA, ROOT, process
from tests.fakes.kernel_builders import standing

DAEMON, FIRST, OTHER = 77, 1, 78


def processes(*pids: int, path: str = "/", uid: int = ADA.uid) -> Standing:
    """Processes in a cgroup."""
    return standing(*map(process, pids), path=path, uid=uid)


@pytest.mark.parametrize("by", [ADA, ROOT])
@pytest.mark.parametrize(
    ("pid", "said"), [(DAEMON, "process 77 is the daemon itself"), (FIRST, "all others descend")]
)
def test_the_daemon_and_the_host(pid: int, said: str, by: Caller) -> None:
    """Under a lease the daemon could not read the other devices; neither would the lease end."""
    with pytest.raises(Refused, match=said) as caught:
        nobody_elses(processes(OTHER, pid), DAEMON, by)
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_what_may_be_attached() -> None:
    """Others may, so may process 1 in a unit of its own; whose they are is judged elsewhere."""
    first = processes(FIRST, path="/init.scope")
    foreign = processes(DAEMON, uid=ADA.uid + 1)
    for one in (processes(OTHER), first, foreign):
        assert nobody_elses(one, DAEMON, ADA) is one
