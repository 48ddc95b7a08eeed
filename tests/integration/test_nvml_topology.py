"""Specification: the topology is read pair by pair, once, and a pair that fails is unknown."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from gpusched.adapters.nvml import binding, topology
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.topology import UNREAD, CommonAncestor, Topology, TopologyReading
from tests.fakes.simulated_host import SimulatedHost, simulated_host

PAIR = '[[device]]\nprofile = "A100-80GB"\ncount = 3\n[[link]]\ngpus = [1, 0]\nnvlinks = 4\n'


@contextmanager
def sampling(tmp_path: Path, scenario: str) -> Iterator[tuple[SimulatedHost, NvmlSampler]]:
    """A sampler over a simulated host."""
    with simulated_host(tmp_path / "simulator", scenario) as host:
        binding.use_library(host.library)
        places = NodePlaces(
            dev=host.library.nodes_root, proc=host.library.proc_root, sys=host.library.sys_root
        )
        yield host, NvmlSampler(places, simulated=True)


def read(tmp_path: Path, scenario: str) -> TopologyReading:
    with sampling(tmp_path, scenario) as (_, sampler):
        return sampler.sample().topology


def nvlinks(reading: TopologyReading) -> dict[tuple[int, int], int]:
    pairs = combinations(range(len(reading.gpus)), 2)
    return dict(zip(pairs, reading.nvlinks, strict=True))


def test_gpus_on_switches_are_all_joined(tmp_path: Path) -> None:
    """Links that lead to an NVSwitch join each GPU with every other one on it."""
    reading = read(tmp_path, "hgx-h100")
    assert set(nvlinks(reading).values()) == {18}
    assert reading.doubt == ""
    found = Topology(reading)
    ancestors = [found.between(reading.gpus[0], one).ancestor for one in reading.gpus[1:]]
    assert ancestors == [CommonAncestor.NODE] * 3 + [CommonAncestor.SYSTEM] * 4
    assert set(reading.peers) == {1}


def test_gpus_in_pairs_are_joined_with_their_neighbour(tmp_path: Path) -> None:
    """Links that lead to a GPU join it with that one alone."""
    reading = read(tmp_path, "PCIe-Pairs")
    joined = {pair: count for pair, count in nvlinks(reading).items() if count}
    assert joined == {(0, 1): 12, (2, 3): 12, (4, 5): 12, (6, 7): 12}


def test_two_sets_of_switches_do_not_meet(tmp_path: Path) -> None:
    """A GPU that is on no NVSwitch is joined with nobody, whatever its model could."""
    cards = '[[device]]\nprofile = "H100"\nnvswitch = false\n[[device]]\nprofile = "H100"\n'
    assert nvlinks(read(tmp_path, cards)) == {(0, 1): 0}


def test_what_is_particular_about_a_pair(tmp_path: Path) -> None:
    """A scenario says of two cards how near they are and whether they are peers."""
    said = 'ancestor = "PHB"\np2p = false\n'
    with sampling(tmp_path, PAIR + said) as (_, sampler):
        reading = sampler.sample().topology
    assert reading.ancestors == (30, 40, 40)
    assert reading.peers == (0, 1, 1)
    assert nvlinks(reading) == {(0, 1): 4, (0, 2): 0, (1, 2): 0}


def test_cards_without_nvlinks(tmp_path: Path) -> None:
    """A card that knows no NVLink has none, and that is known."""
    reading = read(tmp_path, "2xL4")
    assert (reading.nvlinks, reading.doubt) == ((0,), "")


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetTopologyCommonAncestor", "ancestors"),
        ("nvmlDeviceGetP2PStatus", "peers"),
        ("nvmlDeviceGetNvLinkState", "nvlinks"),
        ("nvmlDeviceGetNvLinkState", "lost"),
    ],
)
def test_a_call_that_fails_makes_its_pairs_unknown(
    tmp_path: Path, function: str, field: str
) -> None:
    """What fails for one GPU is unknown of its pairs; the rest is read, and no device is lost."""
    code = 15 if field == "lost" else 999
    field = "nvlinks" if field == "lost" else field
    with sampling(tmp_path, PAIR) as (host, sampler):
        host.control(f"[[device]]\nindex = 0\nfaults = {{ errors = {{ {function} = {code} }} }}")
        reading = sampler.sample()
    found = reading.topology
    assert len(reading.devices) == 3
    unread = {
        name: [at for at, one in enumerate(getattr(found, name)) if one == UNREAD]
        for name in ("ancestors", "peers", "nvlinks")
    }
    assert unread.pop(field) == [0, 1]
    assert list(unread.values()) == [[], []]
    assert found.doubt == ("GPU is lost" if code == 15 else "Unknown Error")


def test_a_driver_that_does_not_say_what_is_at_the_other_end(tmp_path: Path) -> None:
    """Without the kind, or the bus id, of the remote end: a bus id of no GPU is a switch."""
    old = 'missing_functions = ["nvmlDeviceGetNvLinkRemoteDeviceType"]\n'
    cards = '[[device]]\nprofile = "H100"\ncount = 2\n'
    assert nvlinks(read(tmp_path, old + cards)) == {(0, 1): 18}
    without = 'missing_functions = ["nvmlDeviceGetNvLinkRemotePciInfo_v2"]\n'
    assert nvlinks(read(tmp_path, without + cards)) == {(0, 1): 18}
    gone = "errors = { nvmlDeviceGetNvLinkRemotePciInfo_v2 = 15 }\n"
    assert nvlinks(read(tmp_path, gone + cards)) == {(0, 1): UNREAD}
    neither = (
        'missing_functions = ["nvmlDeviceGetNvLinkRemotePciInfo_v2",'
        ' "nvmlDeviceGetNvLinkRemoteDeviceType"]\n'
    )
    assert nvlinks(read(tmp_path, neither + cards)) == {(0, 1): 0}


def test_a_link_to_what_is_no_gpu_of_this_host(tmp_path: Path) -> None:
    """A link to a card that has vanished joins nothing."""
    with sampling(tmp_path, PAIR) as (host, sampler):
        host.control("[[device]]\nindex = 1\nvanished = true\n")
        assert nvlinks(sampler.sample().topology) == {(0, 1): 0}


def test_it_is_read_once_while_the_same_gpus_answer(tmp_path: Path) -> None:
    """A reading stands until another set of GPUs answers: then it is read anew."""
    with sampling(tmp_path, PAIR) as (host, sampler):
        first = sampler.sample().topology
        host.control("errors = { nvmlDeviceGetNvLinkState = 999 }\n")
        assert sampler.sample().topology is first
        host.control("[[device]]\nindex = 2\nfaults = { lost = true }\n")
        assert sampler.sample().topology.gpus == first.gpus[:2]
        host.control("")
        assert sampler.sample().topology == first


def test_too_many_gpus_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of more GPUs than a host has, no pair is read: nothing is known of them."""
    monkeypatch.setattr(topology, "MOST_GPUS", 2)
    reading = read(tmp_path, "3xL4")
    assert (len(reading.gpus), reading.nvlinks) == (3, ())
    assert reading.doubt.startswith("not read of more than")
