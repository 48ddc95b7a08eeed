"""The NVML process itself over the fake library, which prints to its standard output as it goes.

Run as a script.
"""

import os
import sys

from gpusched.adapters.nvml import binding, child
from tests.fakes.nvml_library import FakeLibrary, gpu


class _Noisy(FakeLibrary):
    def __getattr__(self, name: str) -> object:  # type: ignore[override]  # whatever it is
        os.write(1, b"noise\n")
        return super().__getattr__(name)


if __name__ == "__main__":
    binding.use_library(_Noisy(gpu(0), gpu(1)))
    sys.exit(child.main([]))
