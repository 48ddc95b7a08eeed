"""Two services, of which one uses the other; nothing in it knows of gpusched."""

import bentoml
from seen import seen


@bentoml.service(resources={"gpu": 1})
class Dep:
    """What the other one uses."""

    @bentoml.api
    async def who(self) -> dict:
        """Say what its worker sees."""
        return seen()


@bentoml.service(resources={"gpu": 2}, workers=2)
class MyService:
    """The entry service."""

    dep = bentoml.depends(Dep)

    @bentoml.api
    async def who(self) -> dict:
        """Say what the worker sees that answers."""
        return seen()

    @bentoml.api
    async def dep_who(self) -> dict:
        """Say what the worker of the other service sees."""
        return await self.dep.to_async.who()
