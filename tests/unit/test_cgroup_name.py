"""Units and containers by the path of a cgroup."""

import pytest

from gpusched.core.cgroup_name import (
    Container,
    container_in,
    container_of,
    containers_named,
    unit_in,
)

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/system.slice/docker-{ID}.scope", ID[:12]),
        (f"/docker/{ID}", ID[:12]),
        (f"/machine.slice/libpod-{ID}.scope/container", ID[:12]),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ID[:12]),
        (f"/libpod_parent/libpod-{ID}/", ID[:12]),
        (f"/system.slice/web.service/libpod-payload-{ID}", ID[:12]),
        ("/system.slice/web.service/runtime", ""),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", ID[:12]),
        (f"/kubepods/besteffort/pod1/{ID}", ID[:12]),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope", ID[:12]),
        (f"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}", ID[:12]),
        (f"/system.slice/nerdctl-{ID}.scope", ID[:12]),
        (f"/training.slice/{ID}", ID[:12]),
        (f"/docker/{ID}/docker/{'f' * 64}", ID[:12]),
        (f"/docker/{ID}/system.slice/x.service", ID[:12]),
        # Podman's monitor of a container is not in it.
        (f"/machine.slice/libpod-conmon-{ID}.scope", ""),
        ("/lxc.payload.web/init.scope", "web"),
        ("/lxc/web", "web"),
        ("/lxc.payload/web", "web"),
        ("/machine.slice/machine-gpu\\x2dbox.scope/payload/system.slice/x.service", "gpu-box"),
        ("/system.slice/docker.service", ""),
        (f"/docker/{ID}0", ""),
        ("/machine.slice/systemd-nspawn@debian.service/payload", "debian"),
        ("/system.slice/nginx.service", ""),
        ("", ""),
    ],
)
def test_containers(path: str, name: str) -> None:
    """A container has the id that its engine prints, or its name, and no unit."""
    assert container_in(path) == name
    if name:
        assert unit_in(path) == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/system.slice/vllm.service", "vllm.service"),
        ("/system.slice/a.service/worker-1", "a.service"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service",
            "jupyter.service",
        ),
        ("/user.slice/user-1000.slice/session-3.scope", ""),
        ("/init.scope", ""),
        ("/gpusched/lease-1", ""),
        ("/", ""),
    ],
)
def test_units(path: str, name: str) -> None:
    """The innermost unit is the one; a session is none."""
    assert unit_in(path) == name


@pytest.mark.parametrize(
    ("path", "name", "cgroup"),
    [
        (f"/docker/{ID}", ID, f"/docker/{ID}"),
        (f"/docker/{ID}/docker/{'f' * 64}/x", "f" * 64, f"/docker/{ID}/docker/{'f' * 64}"),
        (f"/machine.slice/libpod-{ID}.scope/container", ID, f"/machine.slice/libpod-{ID}.scope"),
        (f"/a.slice:cri-containerd:{ID}/b", ID, f"/a.slice:cri-containerd:{ID}"),
        ("/lxc.payload.web/init.scope", "web", "/lxc.payload.web"),
        ("/machine.slice/machine-a\\x2db.scope/x", "a-b", "/machine.slice/machine-a\\x2db.scope"),
    ],
)
def test_a_container_has_a_cgroup_of_its_own(path: str, name: str, cgroup: str) -> None:
    """The innermost container is meant, and its whole cgroup, not what it has made in it."""
    assert container_of(path) == Container(name, cgroup)


def test_not_everything_is_in_a_container() -> None:
    """A service is in none."""
    assert container_of("/system.slice/nginx.service") is None


OTHER = "0123" + "f" * 60
PATHS = (
    *(f"/docker/{ID}", f"/docker/{ID}/below", f"/docker/{OTHER}"),
    *("/lxc/0123", "/lxc/web", "/system.slice/a.service"),
)


@pytest.mark.parametrize(
    ("text", "cgroups"),
    [
        (ID, [f"/docker/{ID}"]),
        (ID[:12], [f"/docker/{ID}"]),
        ("012345", [f"/docker/{ID}"]),
        ("012", [f"/docker/{ID}", f"/docker/{OTHER}"]),
        # A name is a name, whatever else begins so.
        ("0123", ["/lxc/0123"]),
        ("web", ["/lxc/web"]),
        # Only an id may be said in part.
        ("we", []),
        ("", []),
    ],
)
def test_containers_are_found_by_id_or_name(text: str, cgroups: list[str]) -> None:
    """By the whole id, the beginning of it, or the name where that is what engines call it."""
    assert [one.cgroup for one in containers_named(text, PATHS, 0)] == cgroups


def test_a_scope_of_a_user_is_no_container_of_others() -> None:
    """He may call it like theirs: for his leases alone is it one, and it hides none."""
    mine = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"
    host = f"/machine.slice/libpod-{ID}.scope"
    inside = f"{host}/container/user.slice/user-7.slice/user@7.service"
    paths = (mine, f"{mine}/container", host, inside)
    assert [one.cgroup for one in containers_named(ID, paths, 0)] == [host]
    assert containers_named(ID, (mine,), 0) == ()
    assert [one.cgroup for one in containers_named(ID, (mine,), 1000)] == [mine]
