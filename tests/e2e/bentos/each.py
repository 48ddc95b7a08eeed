"""A service whose workers have a device each."""

import bentoml
import gpusched
from seen import seen


@bentoml.service(workers=2)
class Each:
    """Asks in each worker, before anything loads CUDA."""

    def __init__(self) -> None:
        self.lease = gpusched.worker_lease(gpus=1)

    @bentoml.api
    async def who(self) -> dict:
        """Say what the worker sees that answers, and holds."""
        return {**seen(), "held": [one.uuid for one in self.lease.devices], "lease": self.lease.id}
