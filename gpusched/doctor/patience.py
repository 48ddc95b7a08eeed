"""Looks at files for at most so long: a dead file server, a FIFO or a hung process never answers.

The look goes on in a thread that is left behind, and ends with the doctor.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from gpusched.doctor.execution import Silent

T = TypeVar("T")


def within(seconds: float, what: str, look: Callable[[], T]) -> T:
    """Give what *look* gives, or raise what it raises.

    Args:
        seconds: How long it may take.
        what: What is looked at, for the error.
        look: Looks; changes nothing, for it may go on.

    Raises:
        Silent: It took longer.
    """
    given: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            given.append(look())
        except Exception as error:  # noqa: BLE001 - raised by who waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not given:
        raise Silent(f"{what} did not answer within {seconds:g} s")
    return given[0]
