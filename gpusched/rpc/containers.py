"""Tells in a grant by which name container engines know the lease."""

from gpusched.api.v1 import lease_pb2
from gpusched.core.ids import LeaseId
from gpusched.rpc.world import World


async def named(world: World, grant: lease_pb2.Grant) -> lease_pb2.Grant:
    """Give *grant* with the lease's name, which engines know by then, or a warning why not.

    Each device has it, too: an engine has one name for all that a lease has.

    Raises:
        Stopping: The daemon ends, or a commit failed.
    """
    found = await world.authority.named(LeaseId(grant.lease.id))
    if found is not None:
        grant.cdi_name = found.name
        for device in grant.devices:
            device.cdi_name = found.name
        grant.warnings.extend(filter(None, [found.failure]))
    return grant
