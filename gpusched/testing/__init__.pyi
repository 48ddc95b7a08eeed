# The types of what `__init__.py` loads on first use.

from gpusched.testing.host import SimulatedHost as SimulatedHost
from gpusched.testing.host import daemon as daemon
from gpusched.testing.worker import HostFault as HostFault
from gpusched.testing.worker import Worker as Worker

__all__ = ["HostFault", "SimulatedHost", "Worker", "daemon"]
