"""Quotas and pools as a configuration makes them, in short; only values."""

from gpusched.core.ids import DeviceUuid
from gpusched.core.policy import Policy
from gpusched.core.pool import DEFAULT_POOL, Pools
from gpusched.core.quota import Bounds, Exempt, Quotas, Resource
from gpusched.core.rights import Rights
from gpusched.core.tally import Label, Subject


def user(uid: int, **allowed: int) -> Quotas:
    """A quota of one user."""
    return Quotas({Subject("uid", uid): Bounds(f"user user{uid}", bounds(**allowed))})


def group(gid: int, **allowed: int) -> Quotas:
    """A quota of one group."""
    return Quotas({Subject("gid", gid): Bounds(f"gid {gid}", bounds(**allowed))})


def label(named: Label, **allowed: int) -> Quotas:
    """A quota of one label."""
    return Quotas({Subject("label", named): Bounds(f"label {'='.join(named)}", bounds(**allowed))})


def each(**allowed: int) -> Quotas:
    """The default of each user."""
    return Quotas(each=Bounds("each user", bounds(**allowed)))


def together(*quotas: Quotas, exempt: Exempt = Exempt.NOBODY) -> Quotas:
    """Several quotas."""
    found = {subject: bounds for one in quotas for subject, bounds in one.bounds.items()}
    default = next((one.each for one in quotas if one.each is not None), None)
    return Quotas(found, default, exempt)


def bounds(**allowed: int) -> dict[Resource, int]:
    """What is allowed, by the resource's name in Python."""
    return {Resource[name.upper()]: many for name, many in allowed.items()}


def bounded(*quotas: Quotas, exempt: Exempt = Exempt.NOBODY) -> Policy:
    """A policy with quotas."""
    return Policy(quotas=together(*quotas, exempt=exempt))


def pooled(*named: str, rights: Rights | None = None, **devices: str | int) -> Pools:
    """Pools of one device each, and those *named* that have none; all with the same rights."""
    by_uuid = {DeviceUuid(one): pool for pool, one in devices.items() if isinstance(one, str)}
    by_index = {one: pool for pool, one in devices.items() if isinstance(one, int)}
    rest = dict.fromkeys((*devices, *named), rights or Rights())
    return Pools({DEFAULT_POOL: Rights(), **rest}, by_uuid, by_index)
