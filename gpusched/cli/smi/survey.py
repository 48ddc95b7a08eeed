"""Reads a survey (`Node/Survey`): values, and why there is none, in NVML's words."""

from gpusched.client.document import Document

NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
LOST = 15
RESET_REQUIRED = 16
_FUNCTION_NOT_FOUND = 13
_ABSENT = (NOT_SUPPORTED, _FUNCTION_NOT_FOUND)
"""Return codes by which a card or its driver says that it has no such value."""


class Value:
    """One value of the survey, or why there is none.

    Attributes:
        text: The text; a number in decimal; empty where there is none.
        number: The number in its base unit; None where it is a text or missing.
        code: NVML's return code where it is missing; 0 otherwise.
        words: Why it is missing, in NVML's words; empty otherwise.
    """

    __slots__ = ("code", "number", "text", "words")

    def __init__(self, document: Document) -> None:
        failure = document.part("failure")
        self.number = document.optional("number")
        self.text = document.text("text") if self.number is None else str(self.number)
        self.code = failure.number("code")
        self.words = failure.text("words")
        if not self.text and not self.words and "text" not in document:
            self.code, self.words = NOT_SUPPORTED, "Not Supported"

    @property
    def missing(self) -> bool:
        """Whether there is a reason instead of a value."""
        return bool(self.words)

    @property
    def not_there(self) -> bool:
        """Whether the card has no such value, rather than that reading it failed."""
        return self.missing and self.code in _ABSENT


class Survey:
    """The host as NVML answered.

    Attributes:
        document: The reply itself.
        devices: GPUs in index order.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.devices = [Device(one) for one in document.parts("devices")]

    def value(self, name: str) -> Value:
        """Give a value of the host, such as `driver_version`."""
        return Value(self.document.part("fields").part(name))

    def words(self, name: str) -> str:
        """Give a value of the host as text, `N/A` where there is none."""
        return self.value(name).text or "N/A"


class Device:
    """A GPU, or a MIG device of one.

    Attributes:
        document: Its part of the reply.
        index: NVML index; of a MIG device within its GPU.
        uuid: Its identity; empty where it gives none.
        failure: Why it gives no handle; an empty document where it answers.
        processes: Rows of its process lists, in NVML's order; of a GPU in MIG mode also those of
            its MIG devices.
        unread: Why its process lists could not be read; empty where they could.
        mig_devices: Its MIG devices.
        mps_pids: Who stands in the list of MPS clients, as often as there; signed.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.index = document.number("index")
        self.uuid = document.text("uuid")
        self.failure = document.part("failure")
        self.processes = [Process(one) for one in document.parts("processes")]
        self.unread = document.part("processes_failure")
        self.mig_devices = [Device(one) for one in document.parts("mig_devices")]
        self.mps_pids = [_signed(one) for one in document.numbers("mps_pids")]

    def value(self, name: str) -> Value:
        """Give a value by its name; of a lost GPU each missing one is missing for that reason."""
        fields = self.document.part("fields")
        if name not in fields and self.lost:
            return Value(Document({"failure": self.failure.fields}))
        return Value(fields.part(name))

    @property
    def lost(self) -> bool:
        """Whether it gave no handle, or was lost while it was read."""
        return bool(self.failure.fields)

    @property
    def partitioned(self) -> bool:
        """Whether MIG mode is on."""
        return self.value("mig.mode.current").text == "Enabled"

    @property
    def places(self) -> list["Device"]:
        """What the rows of tables are asked of: the MIG devices, each by itself, if it has any."""
        # Of one that was lost meanwhile it is told, beside what had been read of it.
        return [self, *self.mig_devices] if self.lost else self.mig_devices or [self]


class Process:
    """A row of NVML's process lists.

    Attributes:
        pid: Process id.
        signed_pid: The same as nvidia-smi prints it in a table, and sorts by it everywhere.
        kind: Type column, such as `M+C`.
        gpu_instance: GPU instance; None without MIG.
        compute_instance: Compute instance; None without MIG.
        name: Its name.
        memory: Bytes of device memory.
        compute: Whether it is in the compute list.
    """

    def __init__(self, document: Document) -> None:
        self.pid = document.number("pid")
        self.signed_pid = _signed(self.pid)
        self.kind = document.text("type")
        self.gpu_instance = document.optional("gpu_instance")
        self.compute_instance = document.optional("compute_instance")
        self.name = Value(document.part("name"))
        self.memory = Value(document.part("used_memory"))
        self.compute = document.flag("compute")

    @property
    def kind_alone(self) -> str:
        """The type without what its being an MPS client makes of it."""
        return "+".join(["C"] * self.compute + ["G"] * self.kind.endswith("G"))


def _signed(pid: int) -> int:
    return pid - (1 << 32) if pid >= 1 << 31 else pid
