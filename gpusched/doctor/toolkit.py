"""Checks of the NVIDIA container toolkit: its version and settings, and whether its CDI files fit.

A file names every library of the driver with its version: after an upgrade containers do not start
until it is made anew.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

from gpusched.doctor.engines import ENGINES
from gpusched.doctor.execution import Silent
from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.situation import Situation
from gpusched.doctor.versions import version_in, written

_SETTINGS: Final = "/etc/nvidia-container-runtime/config.toml"
_SPECS: Final = ("/etc/cdi", "/var/run/cdi")
_KIND: Final = re.compile(r"""["']?kind["']?\s*:\s*["']?nvidia\.com/gpu\b""")
_LIBRARY: Final = re.compile(r"/lib(?:cuda|nvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)\b")
_NODE: Final = re.compile(r"/dev/nvidia(\d+)\b")
_ANEW: Final = (
    "`sudo systemctl restart nvidia-cdi-refresh` (toolkit 1.18), or `sudo nvidia-ctk cdi generate"
    " --output=FILE`"
)
_INSTALL: Final = "install nvidia-container-toolkit (NVIDIA's package source has it)"


def check_toolkit(situation: Situation) -> Remarks:
    """See whether it is installed, and whether it still has the workaround for old systemd."""
    output = situation.host.run("nvidia-ctk", "--version")
    version = version_in(output.text) if output is not None else None
    if output is None:
        yield _without(situation)
    elif version is None:
        yield warn(f"nvidia-ctk does not work: {output.last_words}", "install it anew")
    else:
        yield ok(written(version))
    if _no_cgroups(situation):
        yield warn(
            f"{_SETTINGS} has no-cgroups = true: the workaround of 2021, with which containers see"
            " GPUs only by a list of --device",
            "take it out: since version 1.8 the toolkit needs it for rootless containers only",
        )


def check_specs(situation: Situation) -> Remarks:
    """Compare NVIDIA's CDI files with the loaded driver and its GPUs."""
    specs = list(_specs(situation))
    if not specs:
        if _engine(situation) and situation.loaded.version:
            yield warn(
                "no CDI file of NVIDIA's in /etc/cdi or /var/run/cdi: containers by CDI get device"
                " nodes and no libraries of the driver",
                _ANEW.replace("FILE", "/etc/cdi/nvidia.yaml"),
            )
        else:
            yield ok("none of NVIDIA's, and nothing here that needs one")
    for path, text in specs:
        yield _judged(situation, path, text)


def _judged(situation: Situation, path: str, text: str) -> Remark:
    loaded = situation.loaded.version
    versions = sorted(set(_LIBRARY.findall(text)))
    named = {int(minor) for minor in _NODE.findall(text)}
    present = {gpu.minor for gpu in situation.gpus if gpu.minor is not None}
    unknown = len(present) < len(situation.gpus)
    advice = _ANEW.replace("FILE", path)
    if loaded and versions and versions != [loaded]:
        return fail(
            f"{path} is stale: it mounts libraries of {', '.join(versions)}, loaded is {loaded};"
            " containers by CDI do not start",
            advice,
        )
    if loaded and named != present and not unknown:
        return warn(
            f"{path} is stale: it has the GPU nodes {_listed(named)}, the driver has"
            f" {_listed(present)}",
            advice,
        )
    if not loaded:
        return warn(
            f"{path} is there, and no driver that it could be compared with", "see `driver`"
        )
    said = f"libraries of {loaded}" if versions else "no libraries of the driver"
    return ok(f"{path}: {said}, {len(named)} GPUs")


def _specs(situation: Situation) -> Iterator[tuple[str, str]]:
    for folder in _SPECS:
        for name in situation.host.entries(folder):
            if name.endswith((".yaml", ".yml", ".json")):
                text = situation.host.read(f"{folder}/{name}") or ""
                if _KIND.search(text):
                    yield f"{folder}/{name}", text


def _without(situation: Situation) -> Remark:
    engine = _engine(situation)
    if not engine:
        return ok("not installed, and neither is a container engine")
    return warn(
        f"not installed, and {engine} is: containers get no libraries of the driver", _INSTALL
    )


def _engine(situation: Situation) -> str:
    """Name a container engine that is installed; empty: none is."""
    for name in ENGINES:
        try:
            if situation.host.run(name, "--version") is not None:
                return name
        except Silent:
            return name
    return ""


def _no_cgroups(situation: Situation) -> bool:
    try:
        settings = tomllib.loads(situation.host.read(_SETTINGS) or "")
    except tomllib.TOMLDecodeError:
        return False
    part = settings.get("nvidia-container-cli")
    return isinstance(part, dict) and part.get("no-cgroups") is True


def _listed(minors: set[int]) -> str:
    return ", ".join(map(str, sorted(minors))) or "none"
