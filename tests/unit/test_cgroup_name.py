"""Units and containers by the path of a cgroup."""

import pytest

from gpusched.core.cgroup_name import container_in, unit_in

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/system.slice/docker-{ID}.scope", ID[:12]),
        (f"/docker/{ID}", ID[:12]),
        (f"/machine.slice/libpod-{ID}.scope/container", ID[:12]),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ID[:12]),
        (f"/libpod_parent/libpod-{ID}/", ID[:12]),
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
