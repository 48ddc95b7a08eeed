"""The three process lists of a device, and the one list that nvidia-smi makes of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.processes import ProcessRow, processes
from gpusched.core.sample import ContextKind

ProcessLists: TypeAlias = Mapping[ContextKind, Sequence[ProcessRow]]
_Key: TypeAlias = tuple[int | None, int | None, int]

_NO_LIST: Final = frozenset({binding.NOT_SUPPORTED, binding.FUNCTION_NOT_FOUND})


def lists_of(device: binding.Handle) -> ProcessLists:
    """Read the three lists of a device, as NVML gives them.

    Raises:
        binding.NvmlFailure: One of them cannot be read.
    """
    return {
        ContextKind.COMPUTE: processes(device, ContextKind.COMPUTE),
        ContextKind.GRAPHICS: _if_there(device, ContextKind.GRAPHICS),
        ContextKind.MPS: _if_there(device, ContextKind.MPS),
    }


def _if_there(device: binding.Handle, kind: ContextKind) -> Sequence[ProcessRow]:
    """Read a list that a driver or a device may well not have: then nobody stands in it."""
    try:
        return processes(device, kind)
    except binding.NvmlFailure as failure:
        if failure.code in _NO_LIST:
            return ()
        raise


def merge(lists: ProcessLists) -> list[tuple[ProcessRow, ContextKind]]:
    """Make one list of the three, as nvidia-smi does.

    The first row of a process in the compute list goes with its first in the graphics list, the
    second with the second, and the memory is that of the compute list. Who stands in the MPS list
    too is an MPS client in all of its rows (measured with 550.163; 470.256 and 535.261 count
    there as well).
    """
    clients = {_key(row) for row in lists[ContextKind.MPS]}
    merged: dict[tuple[_Key, int], tuple[ProcessRow, ContextKind]] = {}
    for kind in (ContextKind.COMPUTE, ContextKind.GRAPHICS):
        seen: Counter[_Key] = Counter()
        for row in lists[kind]:
            key = _key(row)
            first, kinds = merged.get((key, seen[key]), (row, kind))
            kinds |= ContextKind.MPS if key in clients else kind
            merged[key, seen[key]] = (first, kinds | kind)
            seen[key] += 1
    told = {key for key, _ in merged}
    alone = [(row, ContextKind.MPS) for row in lists[ContextKind.MPS] if _key(row) not in told]
    return [*merged.values(), *alone]


def _key(row: ProcessRow) -> _Key:
    return (row.gpu_instance, row.compute_instance, row.pid)
