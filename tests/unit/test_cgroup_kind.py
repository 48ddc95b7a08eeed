"""Which processes may be moved, by the path of their cgroup, and what lies in what."""

import pytest

from gpusched.core.cgroup_kind import encloses, is_ones_own, stays

USER = "/user.slice/user-1000.slice"


@pytest.mark.parametrize(
    "path",
    [
        "/system.slice/jupyter.service",
        "/system.slice/jupyter.service/worker",
        f"{USER}/user@1000.service/app.slice/app-code.service",
        f"{USER}/user@1000.service/init.scope",
        "/init.scope",
        "/docker/0a1b",
        "/system.slice/docker-0a1b.scope",
        f"{USER}/user@1000.service/user.slice/libpod-0a1b.scope",
        "/machine.slice/libpod-0a1b.scope/container",
        "/kubepods.slice/kubepods-besteffort.slice/cri-containerd-0a1b.scope",
        "/kubepods/besteffort/pod1/0a1b",
        "/lxc.payload.web/user.slice/session-1.scope",
        "/system.slice/crio-0a1b.scope",
        "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0",
        "/system.slice/node1_slurmstepd.scope/job_7/step_0/user/task_0",
    ],
)
def test_what_somebody_else_looks_after_stays(path: str) -> None:
    """Processes of services, containers and batch steps are masked where they are."""
    assert stays(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        f"{USER}/session-3.scope",
        f"{USER}/user@1000.service/app.slice/app-terminal-7.scope",
        f"{USER}/user@1000.service",
        "/gpusched/lease-1",
        "/user.slice/dockerfan",
    ],
)
def test_sessions_may_be_moved(path: str) -> None:
    """Processes of a session, and of a host without a service manager, are moved."""
    assert not stays(path)


@pytest.mark.parametrize(
    ("outer", "inner", "answer"),
    [("/a", "/a/b", True), ("/a", "/ab", False), ("/a", "/a", False), ("/", "/a", True),
     ("/a/b", "/a", False), ("/", "/", False)],
)  # fmt: skip
def test_a_cgroup_encloses_those_below_it(outer: str, inner: str, answer: bool) -> None:  # noqa: FBT001
    """An ancestor encloses; a sibling with a longer name is none, and nobody encloses itself."""
    assert encloses(outer, inner) is answer


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/system.slice/a.service", True),
        ("/system.slice/a.service/below", True),
        (f"{USER}/session-3.scope", True),
        (f"{USER}/user@1000.service/app.slice", True),
        (USER, True),
        (f"{USER}/any", True),
        ("/docker/" + "0a1b" * 16, True),
        ("/kubepods/besteffort/pod1/" + "0a1b" * 16, True),
        ("/user.slice/user-1001.slice", False),
        ("/user.slice", False),
        ("/system.slice", False),
        ("/docker", False),
        ("/kubepods/besteffort/pod1", False),
        ("/machine.slice", False),
        ("/any", False),
    ],
)
def test_whose_a_cgroup_is(path: str, answer: bool) -> None:  # noqa: FBT001
    """A unit, a container and one's slice are one's own; what they lie in is everybody's."""
    assert is_ones_own(path, 1000) is answer
