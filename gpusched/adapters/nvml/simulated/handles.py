"""Opaque handles: numbers that mean nothing to the caller, one for each device of a process."""

_FIRST = 0x51A0_0000_1000
_STEP = 0x40


class Handles:
    """Which handle stands for which device. A handle is given once and stays."""

    def __init__(self) -> None:
        self._uuids: dict[int, str] = {}
        self._handles: dict[str, int] = {}

    def of(self, uuid: str) -> int:
        """Give the handle of a device."""
        handle = self._handles.get(uuid)
        if handle is None:
            handle = _FIRST + len(self._handles) * _STEP
            self._handles[uuid] = handle
            self._uuids[handle] = uuid
        return handle

    def uuid(self, handle: int) -> str | None:
        """Give the device that *handle* stands for; None where it was never given."""
        return self._uuids.get(handle)
