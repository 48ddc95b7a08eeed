"""The sampler of a host without NVML."""

import asyncio

from gpusched.adapters.null import NullSampler
from gpusched.core.sample import Unavailable


def test_absent_library_is_a_reason_not_an_empty_host() -> None:
    """Where nothing can be read every sample is the reason, also after close."""

    async def case() -> None:
        sampler = NullSampler("no libnvidia-ml.so.1: install the NVIDIA driver")
        reason = Unavailable("no libnvidia-ml.so.1: install the NVIDIA driver")
        assert await sampler.sample() == reason
        await sampler.close()
        await sampler.close()
        assert await sampler.sample() == reason

    asyncio.run(case())
