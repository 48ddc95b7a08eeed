"""The memory of a device, and whose it is, on the wire."""

from gpusched.api.v1 import device_pb2
from gpusched.core.accounts import Account
from gpusched.core.sample import Unavailable
from gpusched.rpc.convert_reading import bytes_of


def memory_of(account: Account) -> device_pb2.DeviceMemory:
    """Give the driver's figures, and by how much they do not add up."""
    left = account.difference
    return device_pb2.DeviceMemory(
        total=bytes_of(account.total),
        driver_reserved=bytes_of(account.driver_reserved),
        used=bytes_of(account.used),
        free=bytes_of(account.free),
        difference_bytes=None if isinstance(left, Unavailable) or left == 0 else left,
    )


def account_of(account: Account) -> device_pb2.Account:
    """Give the parts of what is used."""
    return device_pb2.Account(
        leases=bytes_of(account.leases),
        strays=bytes_of(account.strays),
        infrastructure=bytes_of(account.infrastructure),
        ghost=bytes_of(account.ghost),
        unattributed=bytes_of(account.unattributed),
        overlap=bytes_of(account.overlap),
        unknown=bytes_of(account.unknown),
    )
