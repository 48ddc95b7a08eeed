"""What has to be allowed so that all but some device nodes is."""

from collections.abc import Mapping

from gpusched.launch.landlock import Entry, beside

TREE: Mapping[str, list[Entry]] = {
    "/": [("/dev", True), ("/home", True), ("/tmp", True), ("/vmlinuz", False)],  # noqa: S108 - a name
    "/dev": [
        ("/dev/null", False),
        ("/dev/nvidia0", False),
        ("/dev/nvidia1", False),
        ("/dev/nvidia-caps", True),
        ("/dev/shm", True),  # noqa: S108 - a name
    ],
    "/dev/nvidia-caps": [("/dev/nvidia-caps/cap1", False), ("/dev/nvidia-caps/cap2", False)],
}


def names(*denied: str) -> set[str]:
    """Gives the paths that are allowed beside *denied*."""
    return {path for path, _ in beside(denied, TREE.__getitem__)}


def test_everything_beside_the_way_is_allowed() -> None:
    """A denied node closes itself and, to what comes later, the folders above; nothing else."""
    assert names("/dev/nvidia0") == {
        "/home",
        "/tmp",  # noqa: S108 - a name
        "/vmlinuz",
        "/dev/null",
        "/dev/nvidia1",
        "/dev/nvidia-caps",
        "/dev/shm",  # noqa: S108 - a name
    }


def test_ways_to_several_nodes_are_one_walk() -> None:
    """A folder on the way to one denied node is not allowed whole because of another."""
    allowed = names("/dev/nvidia0", "/dev/nvidia-caps/cap2")
    assert "/dev/nvidia-caps/cap1" in allowed
    assert not allowed & {"/dev", "/dev/nvidia-caps", "/dev/nvidia0", "/dev/nvidia-caps/cap2"}


def test_a_name_that_begins_alike_is_no_way() -> None:
    """The way is made of whole names."""
    assert "/dev/nvidia-caps" in names("/dev/nvidia")


def test_folders_stay_folders() -> None:
    """Rights to move between folders belong to folders only."""
    assert {is_folder for path, is_folder in beside(["/dev/x"], TREE.__getitem__)} == {True, False}
    assert dict(beside(["/dev/x"], TREE.__getitem__))["/home"]


def test_without_a_denied_node_nobody_looks() -> None:
    """No folder is listed for nothing."""
    assert names() == set()
