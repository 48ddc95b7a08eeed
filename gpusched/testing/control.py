"""Writes the simulator's control file: what has become of a card while the host runs.

`docs/simulator.md` has its keys. A wrong file changes nothing there; why is in a file beside it.
"""

import json
from pathlib import Path

from gpusched.testing.worker import HostFault


class Control:
    """The control file of a simulator.

    Args:
        simulator: The simulator's folder.
    """

    def __init__(self, simulator: Path) -> None:
        self._place = simulator / "control.toml"
        self._cards: dict[int, dict[str, str]] = {}
        self._before: dict[int, dict[str, str]] = {}
        self._xids: dict[int, list[int]] = {}
        self._reported: dict[int, list[int]] = {}

    def lose(self, device: int, *, lost: bool) -> None:
        """Let a card be lost, or answer."""
        self._set(device, "faults", "{ lost = true }" if lost else "{}")

    def fill(self, device: int, memory: str | None) -> None:
        """Let so much of a card be in use by nobody; None: nothing."""
        self._set(device, "ghost", "0" if memory is None else json.dumps(memory))

    def report(self, device: int, xid: int) -> None:
        """Let the driver report an XID; the list only grows, and each is told once."""
        told = [*self._xids.get(device, ()), xid]
        self._set(device, "events", f"[{', '.join(f'{{ xid = {one} }}' for one in told)}]")
        self._reported = {device: told}

    def check(self) -> None:
        """Take back what was said last, where the simulator did not understand it.

        Raises:
            HostFault: There was such a thing; the text is what it said.
        """
        fault = self._place.with_suffix(".fault")
        if fault.exists():
            text = fault.read_text().strip()
            self._cards, self._reported = self._before, {}
            self._write()
            raise HostFault(text)
        self._xids |= self._reported
        self._reported = {}

    def _set(self, device: int, key: str, value: str) -> None:
        self._before = {index: dict(card) for index, card in self._cards.items()}
        self._cards.setdefault(device, {})[key] = value
        self._write()

    def _write(self) -> None:
        lines: list[str] = []
        for index, card in self._cards.items():
            lines += ["[[device]]", f"index = {index}"]
            lines += [f"{key} = {value}" for key, value in card.items()]
        fresh = self._place.with_suffix(".new")
        fresh.write_text("\n".join([*lines, ""]))
        fresh.replace(self._place)
