"""What `/proc` and the cgroup2 tree know of processes: identities, owners, places, members.

Exists so that nothing else reads `/proc/<pid>`. Nothing is decided, signalled or moved here.
"""

from gpusched.adapters.procfs.hierarchy import Hierarchy
from gpusched.adapters.procfs.table import ProcfsProcessTable

__all__ = ["Hierarchy", "ProcfsProcessTable"]
