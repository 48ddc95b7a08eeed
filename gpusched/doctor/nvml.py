"""Checks of what only NVML knows: CUDA version, persistence mode, MIG, compute mode, and MPS."""

from collections.abc import Iterator
from typing import Final

from gpusched.core.sample import Unavailable
from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.mounts import mounts_of
from gpusched.doctor.situation import NEWER_THAN, Gpu, Situation
from gpusched.doctor.versions import Version, version_in, written

_ON: Final = "Enabled"
_MPS: Final = ("nvidia-cuda-mps-control", "nvidia-cuda-mps-server")
_ANEW: Final = "is started again"
_UNKNOWN: Final = "mend what NVML says, and look again"


def check_nvml(situation: Situation) -> Remarks:
    """Say whether NVML answers, and which GPUs it does not reach."""
    facts = situation.facts
    if isinstance(facts, Unavailable):
        if situation.loaded.version:
            reason, _, advice = facts.reason.partition("; ")
            # That is what the daemon does about it; nobody does it for the doctor's own process.
            advice = "" if advice.endswith(_ANEW) else advice
            yield fail(reason, advice or "see the checks above; the kernel log may say more")
        else:
            yield warn(f"not asked: {facts.reason}", "see `driver`")
        return
    answering, count = len(_gpus(situation)), len(facts.gpus)
    all_of = f"{count}" if answering == count else f"{answering} of {count}"
    yield ok(f"answers for {all_of} GPUs")
    for gpu in facts.gpus:
        if gpu.lost:
            yield fail(
                f"GPU {gpu.index} does not answer: {gpu.lost}",
                "look at `dmesg | grep -i xid`; a reset or a reboot may be needed",
            )


def check_cuda(situation: Situation) -> Remarks:
    """Compare the CUDA version that the driver offers with the one that is wanted."""
    facts = situation.facts
    found = None if isinstance(facts, Unavailable) else version_in(facts.cuda)
    if found is None:
        yield _not_known(situation, "the CUDA version that the driver offers")
        return
    wanted = situation.cuda
    least = NEWER_THAN if wanted is None else wanted
    if _enough(found, wanted):
        yield ok(f"the driver offers {written(found)}, {_words(wanted)} is wanted")
    elif found[0] < least[0]:
        yield fail(
            f"the driver offers {written(found)}, {_words(wanted)} is wanted",
            f"install a driver for CUDA {least[0]}, or use programs that are built for"
            f" CUDA {found[0]}",
        )
    else:
        yield warn(
            f"the driver offers {written(found)}, {_words(wanted)} is wanted: programs of the same"
            " CUDA major run with a part of the features only",
            "install a newer driver; see NVIDIA's `CUDA compatibility`, minor versions",
        )


def _enough(found: Version, wanted: Version | None) -> bool:
    return found > NEWER_THAN if wanted is None else found >= wanted


def _words(wanted: Version | None) -> str:
    return f"newer than {written(NEWER_THAN)}" if wanted is None else f"{written(wanted)} or newer"


def check_persistence(situation: Situation) -> Remarks:
    """See whether GPUs stay initialised between their users."""
    gpus = _gpus(situation)
    if not gpus:
        yield _not_known(situation, "persistence mode")
        return
    off = [one.index for one in gpus if one.persistence == "Disabled"]
    if off:
        yield warn(
            f"off on GPU {_listed(off)}: the first user of an idle GPU waits seconds, and what was"
            " set with nvidia-smi is lost with the last one",
            "start nvidia-persistenced, or `sudo nvidia-smi -pm 1`; a running daemon keeps them"
            " initialised, too",
        )
    else:
        yield ok("on" if all(one.persistence == _ON for one in gpus) else "on, where there is one")


def check_mig(situation: Situation) -> Remarks:
    """Tell which GPUs are partitioned, and where a change waits for a reset."""
    gpus = _gpus(situation)
    if not gpus:
        yield _not_known(situation, "MIG mode")
        return
    pending = [one.index for one in gpus if one.mig_pending not in (one.mig, "N/A")]
    if pending:
        yield warn(
            f"a change of MIG mode is pending on GPU {_listed(pending)}",
            "drain it, then `sudo nvidia-smi --gpu-reset -i N`",
        )
    on = [one.index for one in gpus if one.mig == _ON]
    if on:
        yield ok(
            f"on for GPU {_listed(on)}; its instances are the devices, see `gpusched devices`"
        )
    elif not pending:
        yield ok("off" if any(one.mig != "N/A" for one in gpus) else "no GPU here has it")


def check_mps(situation: Situation) -> Remarks:
    """Tell whether MPS serves, and compute modes that stand in its or anybody's way."""
    running = sorted(set(_mps(situation)))
    hidden = [m for m in mounts_of(situation.host) if m.point == "/proc" and _hides(m.options)]
    if running:
        yield warn(
            f"{' and '.join(running)} run: clients of MPS share the server's way to the device,"
            " and the server has no lease",
            "it counts as infrastructure (`devices.infrastructure`); with the guard on, admit its"
            " unit (`enforcement.guard_admits`)",
        )
    elif hidden and situation.host.uid != 0:
        yield warn(
            "not visible to this user: processes of others (/proc is mounted with hidepid)",
            "look as root: `sudo gpusched doctor`",
        )
    else:
        yield ok("no MPS daemon runs")
    yield from _modes(_gpus(situation))


def _modes(gpus: tuple[Gpu, ...]) -> Iterator[Remark]:
    odd = {
        one.index: one.compute_mode for one in gpus if one.compute_mode not in ("Default", "N/A")
    }
    for mode in sorted(set(odd.values())):
        gpu = _listed([index for index, one in odd.items() if one == mode])
        meaning = (
            "nobody may use it, and it serves no lease"
            if mode == "Prohibited"
            else "one process at a time: leases of a part of it are refused"
        )
        yield warn(
            f"compute mode {mode} on GPU {gpu}: {meaning}",
            "where that is not meant: `sudo nvidia-smi -c DEFAULT`",
        )


def _mps(situation: Situation) -> Iterator[str]:
    for pid in situation.host.entries("/proc"):
        if pid.isdigit():
            command = situation.host.read(f"/proc/{pid}/cmdline") or ""
            name = command.split("\0", 1)[0].rpartition("/")[2]
            if name in _MPS:
                yield name


def _hides(options: frozenset[str]) -> bool:
    hiding = {"hidepid=1", "hidepid=2", "hidepid=4", "hidepid=invisible", "hidepid=noaccess"}
    return bool(options & hiding)


def _gpus(situation: Situation) -> tuple[Gpu, ...]:
    """Give the GPUs that answer."""
    facts = situation.facts
    return () if isinstance(facts, Unavailable) else tuple(g for g in facts.gpus if not g.lost)


def _not_known(situation: Situation, what: str) -> Remark:
    loaded = bool(situation.loaded.version)
    return warn(f"unknown: {what}", _UNKNOWN if loaded else "see `driver`")


def _listed(indices: list[int]) -> str:
    return ", ".join(map(str, indices))
