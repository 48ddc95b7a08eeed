"""A survey: everything that nvidia-smi prints of the host, read when it is asked for. Values only.

Apart from the sample, because it is many times as much and no decision depends on it. Values have
names: that of `nvidia-smi --help-query-gpu` where it has one, else the path of the element of
`nvidia-smi -q -x` with dots.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gpusched.core.ids import Instant


@dataclass(frozen=True, slots=True)
class SurveyFailure:
    """Why NVML gave no value.

    Attributes:
        code: Its return code (`nvmlReturn_t`).
        words: Its words, such as `GPU is lost`.
    """

    code: int
    words: str


SurveyValue: TypeAlias = str | int | SurveyFailure
"""A text as nvidia-smi prints it, a number in its base unit, or why there is neither."""


@dataclass(frozen=True, slots=True)
class SurveyedProcess:
    """One row of NVML's process lists, the three of them merged as nvidia-smi does.

    Attributes:
        pid: As NVML reports it.
        type: `C`, `G`, `C+G`, `M+C` or `M+C+G`.
        name: NVML's name.
        memory: Bytes of device memory.
        compute: Whether it stands in the compute list.
        gpu_instance: GI id; None without MIG.
        compute_instance: CI id; None without MIG.
    """

    pid: int
    type: str
    name: SurveyValue
    memory: SurveyValue
    compute: bool
    gpu_instance: int | None = None
    compute_instance: int | None = None


@dataclass(frozen=True, slots=True)
class SurveyedDevice:
    """One GPU, or one MIG device of it.

    Attributes:
        index: NVML index; of a MIG device within its GPU.
        uuid: Identity; empty where it gives none.
        fields: Values by name.
        failure: Why it gives no handle, or was lost meanwhile; None: it answers.
        processes: Rows in NVML's order, or why the lists could not be read; of a partitioned GPU
            all that are on it, those of its MIG devices once more.
        mig_devices: Its MIG devices in NVML's order.
        mps_pids: Who stands in the list of MPS clients, as often and in the order as NVML has it:
            branches before 550 call fewer of them clients in their tables.
    """

    index: int
    uuid: str = ""
    fields: Mapping[str, SurveyValue] = field(default_factory=dict)
    failure: SurveyFailure | None = None
    processes: "tuple[SurveyedProcess, ...] | SurveyFailure" = ()
    mig_devices: "tuple[SurveyedDevice, ...]" = ()
    mps_pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSurvey:
    """The host as NVML answered.

    Attributes:
        at: When it began.
        fields: `driver_version`, `nvml_version` and `cuda_version` (`12.8`).
        devices: GPUs in index order, those that give no handle included.
        simulated: Whether a simulator answered instead of a driver.
    """

    at: Instant
    fields: Mapping[str, SurveyValue]
    devices: tuple[SurveyedDevice, ...]
    simulated: bool = False
