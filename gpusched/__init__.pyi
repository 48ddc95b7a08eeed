# The types of what `__init__.py` loads on first use.

from gpusched.client.aio import AsyncClient as AsyncClient
from gpusched.client.holding import async_lease as async_lease
from gpusched.client.holding import lease as lease
from gpusched.client.sync import Client as Client
from gpusched.client.worker import worker_lease as worker_lease

__version__: str
__all__ = ["AsyncClient", "Client", "__version__", "async_lease", "lease", "worker_lease"]
