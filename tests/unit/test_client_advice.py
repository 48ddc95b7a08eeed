"""Advice to frameworks, and users who have settled it themselves."""

import pytest

from gpusched.client.advice import ADVICE, kept, settled
from gpusched.core.cooperative import environment_of
from gpusched.core.sizes import GIB
from gpusched.launch.run import overridden
from tests.fakes.builders import device

JAX, NEW_JAX = "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"
TF, MPS = "TF_FORCE_GPU_ALLOW_GROWTH", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
GRANTED = {"GPUSCHED_LEASE": "a", "CUDA_VISIBLE_DEVICES": "1", JAX: "0.1", TF: "true", MPS: "0=8M"}


def test_it_is_what_the_daemon_gives() -> None:
    """The client knows the variables of every grant with a limit, and no others."""
    assert set(ADVICE) == set(environment_of(8 * GIB, [device(0, memory=80 * GIB)]))


def test_nobody_has_said_anything() -> None:
    """Then all of the grant is taken, over a mask from before."""
    own = {"CUDA_VISIBLE_DEVICES": "0", "PATH": "/bin"}
    assert settled(GRANTED, own) == GRANTED
    assert kept(GRANTED, own) == []
    assert overridden(own, GRANTED) == ["CUDA_VISIBLE_DEVICES=0 is overridden: the lease has 1"]


@pytest.mark.parametrize("name", [JAX, TF, MPS])
def test_what_a_user_has_set_stays(name: str) -> None:
    """It is left as it is, and said; the same value is no news."""
    own = {name: "mine"}
    assert settled(GRANTED, own) == {one: GRANTED[one] for one in GRANTED if one != name}
    (sentence,) = kept(GRANTED, own)
    value = GRANTED[name]
    assert sentence == f"{name}=mine stays as it was set; the lease's limit would be {value}"
    assert overridden(own, GRANTED) == [sentence]
    assert kept(GRANTED, {name: value}) == []


def test_jax_is_never_given_both_names() -> None:
    """JAX does not start with the newer and the older name, so the user's own is left alone."""
    assert JAX not in settled(GRANTED, {NEW_JAX: "0.5"})
    assert kept(GRANTED, {NEW_JAX: "0.5"})[0].startswith(f"{NEW_JAX}=0.5 stays")
    inside = {NEW_JAX: "0.5", "GPUSCHED_LEASE": "b"}
    assert JAX not in settled(GRANTED, inside)


def test_advice_of_another_lease_is_not_the_users() -> None:
    """Within a lease the next one's advice replaces the first one's, and says so."""
    inside = {JAX: "0.7", "GPUSCHED_LEASE": "b"}
    assert settled(GRANTED, inside) == GRANTED
    assert kept(GRANTED, inside) == []
    assert overridden(inside, GRANTED) == [f"{JAX}=0.7 is overridden: the lease has 0.1"]
