"""A service that declares a mask of its own: BentoML 1.4 sets it in its workers."""

import os
import subprocess

import bentoml
from seen import seen


@bentoml.service(
    resources={"gpu": 1}, envs=[{"name": "CUDA_VISIBLE_DEVICES", "value": os.environ["WANDERS_TO"]}]
)
class Wandering:
    """Uses what it was not given."""

    @bentoml.api
    async def who(self) -> dict:
        """Say what its worker sees."""
        return seen()

    @bentoml.api
    async def use(self) -> dict:
        """Use the devices of the mask, for good where that can be; say how it went."""
        work = [os.environ["SEEN_GPUSCHED"], "simulated-worker", "--memory", "1GiB"]
        self.work = subprocess.Popen(
            work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return {"said": self.work.stdout.readline()}
