"""A service that declares a mask of its own: BentoML 1.4 sets it in its workers.

It is not the entry service: what is in the environment already outweighs the declaration of that.
"""

import os
import subprocess

import bentoml
from seen import seen


@bentoml.service(
    resources={"gpu": 1},
    envs=[{"name": "CUDA_VISIBLE_DEVICES", "value": os.environ["WANDERS_TO"]}],
)
class Wandering:
    """Uses what it was not given."""

    @bentoml.api
    async def who(self) -> dict:
        """Say what its worker sees."""
        return seen()

    @bentoml.api
    async def use(self) -> dict:
        """Use the devices of the mask for good; say how that went."""
        words = [os.environ["SEEN_GPUSCHED"], "simulated-worker", "--memory", "1GiB"]
        self.work = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return {"said": self.work.stdout.readline()}


@bentoml.service
class Entry:
    """Declares nothing."""

    wandering = bentoml.depends(Wandering)

    @bentoml.api
    async def who(self) -> dict:
        """Say what the worker of the other service sees."""
        return await self.wandering.to_async.who()

    @bentoml.api
    async def use(self) -> dict:
        """Have the other one use its devices."""
        return await self.wandering.to_async.use()
