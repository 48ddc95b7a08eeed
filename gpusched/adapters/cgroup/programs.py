"""The device program of a lease's cgroup: attached, replaced, found again, taken away.

Exists so that whoever has a cgroup and a mask needs to know nothing of bpf(2). The kernel is the
only record of what is attached: a program is found by its name, also after a restart, and no
descriptor is kept. Programs of others are never touched. Blocking.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.bpf_call import explained
from gpusched.adapters.cgroup.denials import Denials
from gpusched.adapters.cgroup.device_program import Report, digest_in, encode, name_of
from gpusched.core.mask import Mask, NodeRange, Rule
from gpusched.ports import DeniedOpen, EnforceError

PROBE_NAME: Final = "probe"
"""The cgroup in which it is tried out what the kernel can; never a lease's."""

# Kernels know device programs longer than they can tell of denials, and who it was last of all.
_UNKNOWN_TO_THE_KERNEL: Final = frozenset({errno.EINVAL, errno.EACCES})
_PROBE: Final = Mask((Rule(allow=False, nodes=NodeRange(1, 3, 3)),))


class Programs:
    """Device programs of this daemon. Calls about one cgroup are made one after the other."""

    def __init__(self) -> None:
        """Make the ring buffer for denials, where the kernel has one."""
        self._lock = threading.Lock()  # of the ring buffer, which has one reader
        self._denials = Denials.open()
        self._reports: list[Report | None] = [None]
        if self._denials is not None:
            ring = self._denials.ring
            self._reports = [Report(ring), Report(ring, process=False), None]

    def obstacle(self, folder: Path) -> str | None:
        """Find out, by trying, why programs cannot be had; None: they can.

        Args:
            folder: A cgroup2 directory that no other daemon uses; the trial is made in an empty
                cgroup below it, which is removed again.
        """
        probe = folder / PROBE_NAME
        try:
            probe.mkdir(exist_ok=True)  # one that a killed daemon left is used up
        except OSError as error:
            return f"no cgroup can be made in {folder}: {error.strerror}"
        try:
            self.apply(probe, _PROBE)
            self.apply(probe, _PROBE)  # the second time it replaces
            self.remove(probe)
        except EnforceError as error:
            return str(error)
        finally:
            with contextlib.suppress(OSError):
                probe.rmdir()
        return None

    def apply(self, folder: Path, mask: Mask) -> None:
        """Let *mask* be the one of the cgroup, whatever was there of ours before.

        The program that was there is replaced also when it is the same: after a restart it tells
        its denials to a ring buffer that nobody reads.

        Args:
            folder: The cgroup's directory.
            mask: What its processes may open, and those of the cgroups below it.

        Raises:
            EnforceError: What was there before is there still, or it cannot be verified that
                the new one is.
        """
        try:
            with _opened(folder) as cgroup, self._loaded(mask, os.fstat(cgroup).st_ino) as new:
                _put(cgroup, new)
                stands = bpf.prog_info(new).id in bpf.query(cgroup)
        except OSError as error:
            raise _sentence(folder, error) from error
        if not stands:
            raise EnforceError(
                f"the device program of {folder} vanished as soon as it was attached: another "
                "program manages the devices of this cgroup; use one that gpusched makes"
            )

    def remove(self, folder: Path) -> None:
        """Take our program away, and leave those of others; an absent one is no error.

        Raises:
            EnforceError: It is there still.
        """
        try:
            with _opened(folder) as cgroup, _ours(cgroup) as old:
                for program, _ in old:
                    bpf.detach(cgroup, program)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _sentence(folder, error) from error

    def digest(self, folder: Path) -> str | None:
        """Give the digest of the mask that the cgroup has; None: it has none of ours.

        Raises:
            EnforceError: It cannot be found out.
        """
        try:
            with _opened(folder) as cgroup, _ours(cgroup) as found:
                return found[0][1] if found else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _sentence(folder, error) from error

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Take out the denied opens since the last call, equal ones added up.

        Some are lost when there are thousands between two calls; () where the kernel tells none.
        """
        with self._lock:
            return self._denials.drain() if self._denials is not None else ()

    def close(self) -> None:
        """Give up the ring buffer; what is attached stays. Idempotent."""
        with self._lock:
            if self._denials is not None:
                self._denials.close()
            self._denials, self._reports = None, [None]

    @contextlib.contextmanager
    def _loaded(self, mask: Mask, cgroup: int) -> Iterator[int]:
        """Load the program of *mask*, telling as much of its denials as the kernel can."""
        program = self._load(mask, cgroup)
        try:
            yield program
        finally:
            os.close(program)

    def _load(self, mask: Mask, cgroup: int) -> int:
        *preferred, last = self._reports
        for place, report in enumerate(preferred):
            told = None if report is None else replace(report, cgroup=cgroup)
            try:
                program = bpf.load_program(encode(mask, told), name_of(mask))
            except OSError as error:
                if error.errno not in _UNKNOWN_TO_THE_KERNEL:
                    raise
                continue
            self._reports = [*preferred[place:], last]  # what failed before it always will
            return program
        return bpf.load_program(encode(mask, last), name_of(mask))


def _sentence(folder: Path, error: OSError) -> EnforceError:
    gone = isinstance(error, FileNotFoundError)
    why = "the cgroup is gone; attach again" if gone else error.strerror
    return EnforceError(f"the devices of {folder} cannot be masked: {why}")


def _put(cgroup: int, new: int) -> None:
    """Attach *new*, or replace what is there of ours by it."""
    with _ours(cgroup) as old:
        if not old:
            bpf.attach(cgroup, new)
            return
        bpf.replace(cgroup, new, old[0][0])
        for superfluous, _ in old[1:]:
            bpf.detach(cgroup, superfluous)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, f"the daemon cannot open it: {explained(number)}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _ours(cgroup: int) -> Iterator[list[tuple[int, str]]]:
    """Give descriptor and digest of each of our programs there; the descriptors are closed."""
    with contextlib.ExitStack() as opened:
        found: list[tuple[int, str]] = []
        for number in bpf.query(cgroup):
            try:
                program = bpf.prog_fd_by_id(number)
            except FileNotFoundError:
                continue  # somebody has just detached his
            opened.callback(os.close, program)
            digest = digest_in(bpf.prog_info(program).name)
            if digest is not None:
                found.append((program, digest))
        yield found
