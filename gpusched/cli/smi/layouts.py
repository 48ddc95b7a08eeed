"""The layouts of nvidia-smi's driver branches as data: widths, gaps, headings, roundings.

470 also serves 450 to 525; 535 serves 530 to 545; 550 and 555 are alike; 570 also serves 575.
Sources: NVIDIA's programs over a mock driver (470, 535, 550, 555), public captures (570).
"""

DEFAULT = "570"


class DeviceTable:
    """Widths of the device table's cells, in bytes.

    Attributes:
        name: Name of the card; a longer one loses its end.
        off: Gap behind the `Off` of Persistence-M; `N/A` has one more.
        usage: Power usage, right-aligned.
        cap: Power limit, right-aligned.
        behind_cap: Gap behind what stands for a missing power limit.
        bus: Gap before the bus id.
        used: Used memory, right-aligned.
        total: Total memory, right-aligned.
        missing_memory: Gap behind the `N/A` of memory that the caller may not see.
    """

    def __init__(
        self,
        *,
        name: int,
        off: int,
        power: tuple[int, int, int],
        bus: int,
        memory: tuple[int, int, int],
    ) -> None:
        self.name = name
        self.off = off
        self.usage, self.cap, self.behind_cap = power
        self.bus = bus
        self.used, self.total, self.missing_memory = memory


class MigTable:
    """The MIG table.

    Attributes:
        headings: Its three heading lines, without the outer bars.
        memory: Widths of used memory, total memory and the gap behind them.
        bar1: The same for BAR1 memory.
    """

    def __init__(
        self,
        headings: tuple[str, str, str],
        memory: tuple[int, int, int],
        bar1: tuple[int, int, int],
    ) -> None:
        self.headings = headings
        self.memory = memory
        self.bar1 = bar1


class ProcessTable:
    """The process table.

    Attributes:
        headings: Its two heading lines, without the outer bars.
        pid: Width of the PID column, right-aligned.
        longest_pid: Digits of the longest PID that is not cut.
        name: Width of the process name; a longer one loses its beginning.
        gap: Between the name and the memory, whose own width is 8.
        above: Spaces in the line above the table; from 550 on two fewer than its tables are wide.
    """

    def __init__(
        self,
        headings: tuple[str, str],
        *,
        pid: int,
        longest_pid: int,
        name: int,
        gap: int,
        above: int,
    ) -> None:
        self.headings = headings
        self.pid = pid
        self.longest_pid = longest_pid
        self.name = name
        self.gap = gap
        self.above = above


class Layout:
    """One branch.

    Attributes:
        version: Widths behind `NVIDIA-SMI` and behind `Driver Version:`.
        columns: Inner widths of the three columns of the device table.
        headings: Their headings.
        devices: Cells of the device table.
        mig_columns: Inner widths of the four columns of the MIG table.
        mig: Cells of the MIG table.
        processes: The process table.
        ceil: Whether used memory of a device is rounded up; of a process it never is.
    """

    def __init__(
        self,
        *,
        version: tuple[int, int],
        headings: tuple[str, str, str],
        devices: DeviceTable,
        mig: MigTable,
        processes: ProcessTable,
        ceil: bool,
    ) -> None:
        self.version = version
        self.headings = headings
        self.columns = tuple(len(one) for one in headings[0].split("|"))
        self.devices = devices
        self.mig_columns = tuple(len(one) for one in mig.headings[0].split("|"))
        self.mig = mig
        self.processes = processes
        self.ceil = ceil

    @property
    def every_client(self) -> bool:
        """Whether each row of an MPS client says so: since the branch that rounds up."""
        return self.ceil

    @property
    def inner(self) -> int:
        """Bytes between the outer bars."""
        return sum(self.columns) + len(self.columns) - 1


_DEVICES_470 = (
    " GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC ",
    " Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. ",
    "                               |                      |               MIG M. ",
)
_MIG_470 = (
    " GPU  GI  CI  MIG |         Memory-Usage |        Vol|         Shared        ",
    "      ID  ID  Dev |           BAR1-Usage | SM     Unc| CE  ENC  DEC  OFA  JPG",
    "                  |                      |        ECC|                       ",
)
_PROCESSES_470 = (
    "  GPU   GI   CI        PID   Type   Process name                  GPU Memory ",
    "        ID   ID                                                   Usage      ",
)
_DEVICES_535 = (
    " GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC ",
    " Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. ",
    "                                         |                      |               MIG M. ",
)
_MIG_535 = (
    " GPU  GI  CI  MIG |                   Memory-Usage |        Vol|      Shared           ",
    "      ID  ID  Dev |                     BAR1-Usage | SM     Unc| CE ENC DEC OFA JPG    ",
    "                  |                                |        ECC|                       ",
)
_PROCESSES_535 = (
    "  GPU   GI   CI        PID   Type   Process name                            GPU Memory ",
    "        ID   ID                                                             Usage      ",
)
_DEVICES_550 = (
    " GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC ",
    " Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. ",
    "                                         |                        |               MIG M. ",
)
_MIG_550 = (
    " GPU  GI  CI  MIG |                     Memory-Usage |        Vol|      Shared           ",
    "      ID  ID  Dev |                       BAR1-Usage | SM     Unc| CE ENC DEC OFA JPG    ",
    "                  |                                  |        ECC|                       ",
)
_PROCESSES_550 = (
    "  GPU   GI   CI        PID   Type   Process name                              GPU Memory ",
    "        ID   ID                                                               Usage      ",
)
_MIG_570 = (
    " GPU  GI  CI  MIG |                     Memory-Usage |        Vol|        Shared         ",
    "      ID  ID  Dev |                       BAR1-Usage | SM     Unc| CE ENC  DEC  OFA  JPG ",
    "                  |                                  |        ECC|                       ",
)
_PROCESSES_570 = (
    "  GPU   GI   CI              PID   Type   Process name                        GPU Memory ",
    "        ID   ID                                                               Usage      ",
)
_CELLS_550 = DeviceTable(name=27, off=1, power=(16, 5, 1), bus=3, memory=(11, 9, 3))

LAYOUTS = {
    "470": Layout(
        version=(13, 13),
        headings=_DEVICES_470,
        devices=DeviceTable(name=18, off=2, power=(7, 4, 0), bus=1, memory=(10, 8, 1)),
        mig=MigTable(_MIG_470, memory=(10, 8, 1), bar1=(10, 8, 1)),
        processes=ProcessTable(_PROCESSES_470, pid=9, longest_pid=8, name=28, gap=4, above=79),
        ceil=False,
    ),
    "535": Layout(
        version=(23, 13),
        headings=_DEVICES_535,
        devices=DeviceTable(name=27, off=1, power=(17, 4, 0), bus=1, memory=(10, 8, 1)),
        mig=MigTable(_MIG_535, memory=(19, 8, 2), bar1=(19, 8, 2)),
        processes=ProcessTable(_PROCESSES_535, pid=9, longest_pid=8, name=38, gap=4, above=89),
        ceil=False,
    ),
    "550": Layout(
        version=(23, 15),
        headings=_DEVICES_550,
        devices=_CELLS_550,
        mig=MigTable(_MIG_550, memory=(19, 8, 4), bar1=(21, 8, 2)),
        processes=ProcessTable(_PROCESSES_550, pid=9, longest_pid=8, name=38, gap=6, above=89),
        ceil=True,
    ),
    "570": Layout(
        version=(23, 15),
        headings=_DEVICES_550,
        devices=_CELLS_550,
        mig=MigTable(_MIG_570, memory=(19, 8, 4), bar1=(21, 8, 2)),
        processes=ProcessTable(_PROCESSES_570, pid=15, longest_pid=14, name=32, gap=6, above=89),
        ceil=True,
    ),
}
LAYOUTS["555"] = LAYOUTS["550"]
"""By the branch that `--layout` names."""
