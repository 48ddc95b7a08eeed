"""Which cgroups are slices of leases: told by their place and name."""

import pytest

from gpusched.adapters.systemd.slices import SliceHome


@pytest.mark.parametrize(
    "path",
    [
        "/gpusched.slice/gpusched-lease_7f3a.slice",
        "/gpusched.slice/gpusched-lease_7f3a.slice/gpusched-lease_7f3a-0a1b.scope",
        "/user.slice/user-1000.slice/user-1000-gpusched_lease_7f3a.slice",
        "/user.slice/user-1000.slice/user-1000-gpusched_lease_7f3a.slice/x.scope/below",
    ],
)
def test_a_slice_of_a_lease_is_ours(path: str) -> None:
    """The slice itself and what lies in it, at either place."""
    assert SliceHome().made(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/gpusched.slice",
        "/user.slice/user-1000.slice",
        "/system.slice/gpusched.service",
        "/gpusched.slice/gpusched-lease_7f3a.scope",
        "/user.slice/user-1000.slice/user-2000-gpusched_lease_7f3a.slice",
        "/user.slice/user-1000.slice/user@1000.service/user-1000-gpusched_lease_7f3a.slice",
        "/user.slice/user-1000.slice/user@1000.service/gpusched.slice/gpusched-lease_7f3a.slice",
    ],
)
def test_another_cgroup_is_not_ours(path: str) -> None:
    """What others have, and what a user has named like ours in a tree of the user's own."""
    assert not SliceHome().made(path)
