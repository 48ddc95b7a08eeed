"""A clock that stands until a test moves it, and ids that count."""

from gpusched.core.ids import BootId, Instant, LeaseId, Moment

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 10


class FakeClock:
    """Time as the test wants it."""

    def __init__(self, instant: int = 1_000, wall: int = 1_700_000_000_000_000_000) -> None:
        self._moment = Moment(Instant(instant), wall)
        self._boots = 1

    def now(self) -> Moment:
        return self._moment

    def boot_id(self) -> BootId:
        return BootId(f"00000000-0000-4000-8000-{self._boots:012}")

    def advance(self, nanoseconds: int) -> Moment:
        """Let time pass on both clocks."""
        if nanoseconds < 0:
            raise ValueError("CLOCK_BOOTTIME never goes back")
        instant = Instant(self._moment.instant + nanoseconds)
        self._moment = Moment(instant, self._moment.wall + nanoseconds)
        return self._moment

    def set_wall(self, wall: int) -> None:
        """Let somebody set the wall clock; no deadline may notice."""
        self._moment = Moment(self._moment.instant, wall)

    def reboot(self) -> None:
        """Start CLOCK_BOOTTIME anew, under another boot id."""
        self._boots += 1
        self._moment = Moment(Instant(0), self._moment.wall)


class FakeIds:
    """Ids in order: `lease-0000000001`, `lease-0000000002`, …"""

    def __init__(self) -> None:
        self._given = 0

    def lease_id(self) -> LeaseId:
        self._given += 1
        rest, digits = self._given, ""
        for _ in range(_ID_LENGTH):
            rest, digit = divmod(rest, len(_ALPHABET))
            digits = _ALPHABET[digit] + digits
        return LeaseId(f"lease-{digits}")
