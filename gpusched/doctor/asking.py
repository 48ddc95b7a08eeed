"""Asks the daemon, as any client does: who answers, how it holds masks, what NVML told it."""

import os
from collections.abc import Callable
from typing import Final

from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError
from gpusched.client.level import level_word
from gpusched.client.thin import ThinClient
from gpusched.core.sample import Reading, Unavailable
from gpusched.doctor.situation import DaemonAnswer, DriverFacts, Gpu

_PATIENCE: Final = 5.0
_SURVEY: Final = 20.0
"""Seconds: the daemon gives up on NVML after 15."""


def ask_daemon(path: str) -> DaemonAnswer:
    """Ask the daemon at a socket; what goes wrong is in the answer."""
    there = os.path.lexists(path)
    try:
        status = ThinClient(path, _PATIENCE).call("Node/Status", {"without_processes": True})
    except GpuschedError as error:
        return DaemonAnswer(reason=error.sentence, absent=not there)
    simulated = status.flag("simulated")
    return DaemonAnswer(
        version=status.text("version"),
        simulated=simulated,
        advisory=status.flag("advisory"),
        level=level_word(status.part("enforcement").text("level")),
        facts=None if simulated else _surveyed(path),
    )


def _surveyed(path: str) -> Reading[DriverFacts]:
    try:
        survey = ThinClient(path, _SURVEY).call("Node/Survey")
    except GpuschedError as error:
        return Unavailable(error.sentence)
    missing = survey.text("unavailable")
    if missing:
        return Unavailable(missing)
    host = _texts(survey)
    return DriverFacts(
        host("driver_version"), host("cuda_version"), tuple(map(_gpu, survey.parts("devices")))
    )


def _gpu(device: Document) -> Gpu:
    value = _texts(device)
    return Gpu(
        index=device.number("index"),
        persistence=value("persistence_mode"),
        mig=value("mig.mode.current"),
        mig_pending=value("mig.mode.pending"),
        compute_mode=value("compute_mode"),
        lost=device.part("failure").text("words"),
    )


def _texts(document: Document) -> Callable[[str], str]:
    """Give values by name as nvidia-smi writes them, `N/A` for what is missing."""
    fields = document.part("fields")
    return lambda name: fields.part(name).text("text") or "N/A"
