"""Starts one of this package's modules in a Python that may know nothing of gpusched.

Only the package `gpusched` is shown to it, by its place; nothing that is installed beside gpusched
can come between BentoML and its own dependencies. So what is started imports the standard library
and modules of ours that do the same.
"""

from pathlib import Path

INSTEAD = "`gpusched run --gpus N -- bentoml serve …` gives all its services one lease"
"""What needs nothing of BentoML's inside."""

_PACKAGE = Path(__file__).parents[2]

# For a Python of any version as far as the check. `-c` puts the current folder first in the path.
_BEGIN = f"""
import sys
if sys.version_info < (3, 11):
    sys.stderr.write("gpusched: BentoML's Python is %d.%d, and `gpusched bentoml` needs 3.11;"
                     % sys.version_info[:2] + " instead, {INSTEAD}\\n")
    sys.exit(64)
sys.path[:] = [one for one in sys.path if one]
from importlib import import_module, util
place, module = sys.argv[1:3]
spec = util.spec_from_file_location(
    "gpusched", place + "/__init__.py", submodule_search_locations=[place])
sys.modules["gpusched"] = util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["gpusched"])
sys.exit(import_module(module).main(sys.argv[3:]))
"""


def started(python: str, module: str, *words: str) -> list[str]:
    """Give the command that has *python* call `main(words)` of a module of this package."""
    return [python, "-c", _BEGIN, str(_PACKAGE), f"{__package__}.{module}", *words]
