"""The checks, in the order in which they look: what others explain comes first.

Nodes are looked at before NVML is asked, for that may make them.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from gpusched.doctor.driver import check_driver, check_libraries
from gpusched.doctor.engines import check_containerd, check_docker, check_nerdctl, check_podman
from gpusched.doctor.finding import Remarks
from gpusched.doctor.holding import check_cgroup, check_landlock, check_programs
from gpusched.doctor.kernel import check_architecture, check_kernel, check_namespaces, check_wsl
from gpusched.doctor.nodes import check_nodes
from gpusched.doctor.nvml import check_cuda, check_mig, check_mps, check_nvml, check_persistence
from gpusched.doctor.services import check_clock, check_daemon, check_state, check_systemd
from gpusched.doctor.situation import Situation
from gpusched.doctor.toolkit import check_specs, check_toolkit

Check: TypeAlias = Callable[[Situation], Remarks]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("kernel", check_kernel),
    ("architecture", check_architecture),
    ("wsl", check_wsl),
    ("namespaces", check_namespaces),
    ("cgroup", check_cgroup),
    ("daemon", check_daemon),
    ("device program", check_programs),
    ("landlock", check_landlock),
    ("systemd", check_systemd),
    ("driver", check_driver),
    ("libraries", check_libraries),
    ("device nodes", check_nodes),
    ("nvml", check_nvml),
    ("cuda", check_cuda),
    ("persistence", check_persistence),
    ("mig", check_mig),
    ("mps", check_mps),
    ("docker", check_docker),
    ("podman", check_podman),
    ("containerd", check_containerd),
    ("nerdctl", check_nerdctl),
    ("container toolkit", check_toolkit),
    ("cdi files", check_specs),
    ("state", check_state),
    ("clock", check_clock),
)
"""Name and check."""
