"""What a simulated card reports, and what would help it, as pynvml meets them."""

from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding: that is what is tested
import pytest

from gpusched.adapters.nvml.simulated import ScenarioError, load, parse_scenario
from gpusched.adapters.nvml.simulated.codes import Code
from tests.fakes.simulated_host import SimulatedHost, code_of, simulated_host

CONTROL = "[[device]]\nindex = {index}\nevents = [{events}]\n{rest}"
FIELDS = (
    pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,
    pynvml.NVML_FI_DEV_RESET_STATUS,
    pynvml.NVML_FI_DEV_DRAIN_AND_RESET_STATUS,
    pynvml.NVML_FI_DEV_ECC_CURRENT,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


def _registered(host: SimulatedHost, index: int = 0) -> object:
    """A set with one card that reports everything it can."""
    events: object = pynvml.nvmlEventSetCreate()
    kinds = pynvml.nvmlDeviceGetSupportedEventTypes(host.handle(index))
    pynvml.nvmlDeviceRegisterEvents(host.handle(index), kinds, events)
    return events


def _next(events: object) -> tuple[int, int, int, int]:
    data = pynvml.nvmlEventSetWait_v2(events, 0)
    return (data.eventType, data.eventData, data.gpuInstanceId, data.computeInstanceId)


def test_an_event_happens_once(directory: Path) -> None:
    """Events come in the order of their sequence, each once; what is added comes later."""
    with simulated_host(directory, "2xL4") as host:
        events = _registered(host)
        first = "{ sequence = 2, kind = 'ecc_double' }, { sequence = 1, xid = 79, gi = 3, ci = 1 }"
        host.control(CONTROL.format(index=0, events=first, rest=""))
        nobody = 0xFFFFFFFF
        assert _next(events) == (0x8, 79, 3, 1)
        assert _next(events) == (0x2, 0, nobody, nobody)
        assert code_of("nvmlEventSetWait_v2", events, 0) == Code.TIMEOUT
        more = first + ", { sequence = 3, xid = 13 }"
        host.control(CONTROL.format(index=0, events=more, rest=""))
        assert _next(events) == (0x8, 13, nobody, nobody)
        host.control("")
        assert code_of("nvmlEventSetWait_v2", events, 0) == Code.TIMEOUT


def test_a_set_hears_of_its_own_card_and_from_then_on(directory: Path) -> None:
    """What was reported before, or by another card, is not told; the handle names the card."""
    with simulated_host(directory, "2xL4") as host:
        host.control(CONTROL.format(index=0, events="{ xid = 13 }", rest=""))
        events, other = _registered(host), _registered(host, 1)
        assert code_of("nvmlEventSetWait_v2", events, 0) == Code.TIMEOUT
        host.control(CONTROL.format(index=1, events="{ xid = 48 }", rest=""))
        assert code_of("nvmlEventSetWait_v2", events, 0) == Code.TIMEOUT
        data = pynvml.nvmlEventSetWait_v2(other, 0)
        assert pynvml.nvmlDeviceGetUUID(data.device) == pynvml.nvmlDeviceGetUUID(host.handle(1))


def test_a_lost_card_still_tells_why(directory: Path) -> None:
    """Its events come first; then every wait is GPU_IS_LOST."""
    with simulated_host(directory, "2xL4") as host:
        events = _registered(host)
        lost = "faults = { lost = true }"
        host.control(CONTROL.format(index=0, events="{ xid = 79 }", rest=lost))
        assert _next(events)[1] == 79
        assert code_of("nvmlEventSetWait_v2", events, 60_000) == Code.GPU_IS_LOST
        assert code_of("nvmlEventSetWait_v2", events, 60_000) == Code.GPU_IS_LOST


def test_a_card_may_refuse_to_report(directory: Path) -> None:
    """Registering can be made to fail for one card alone."""
    text = """
    [[device]]
    profile = "L4"
    faults = { errors = { nvmlDeviceRegisterEvents = 3 } }
    [[device]]
    profile = "L4"
    """
    with simulated_host(directory, text) as host:
        events = pynvml.nvmlEventSetCreate()
        codes = [
            code_of("nvmlDeviceRegisterEvents", host.handle(index), 0x8, events)
            for index in range(2)
        ]
        assert codes == [Code.NOT_SUPPORTED, 0]


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [
        ("none", [0, 0, 0]),
        ("gpu_reset", [1, 1, 0]),
        ("node_reboot", [2, 0, 0]),
        ("drain_and_reset", [4, 0, 1]),
    ],
)
def test_what_would_help(directory: Path, recovery: str, expected: list[int]) -> None:
    """The recovery action is read as field values; a field that is not simulated says so."""
    # Branch 570 calls the two others deprecated.
    with simulated_host(directory, 'driver = "550.54.15"\n[[device]]\nprofile = "L4"') as host:
        host.control(f'[[device]]\nindex = 0\nrecovery = "{recovery}"')
        values = pynvml.nvmlDeviceGetFieldValues(host.handle(), FIELDS)
        assert [one.value.uiVal for one in values[:3]] == expected
        assert [one.nvmlReturn for one in values] == [0, 0, 0, Code.NOT_SUPPORTED]


def test_a_card_that_needs_a_reset(directory: Path) -> None:
    """Every call on it says so, and asking for its handle too."""
    with simulated_host(directory, "2xL4") as host:
        gpu = host.handle()
        host.control("[[device]]\nindex = 0\nfaults = { reset_required = true }")
        assert code_of("nvmlDeviceGetName", gpu) == Code.RESET_REQUIRED
        assert code_of("nvmlDeviceGetHandleByIndex", 0) == Code.RESET_REQUIRED
        assert code_of("nvmlDeviceGetHandleByIndex", 1) == 0


def test_a_replaced_driver(directory: Path) -> None:
    """A library that is loaded fits no more; one that is loaded anew comes with the driver."""
    with simulated_host(directory, "L4") as host:
        gpu = host.handle()
        host.control('driver = "590.1.2"')
        assert code_of("nvmlDeviceGetName", gpu) == Code.LIB_RM_VERSION_MISMATCH
        assert code_of("nvmlDeviceGetCount") == Code.LIB_RM_VERSION_MISMATCH
        fresh = load(directory)
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = fresh
        fresh.nvmlInit_v2()
        assert pynvml.nvmlSystemGetDriverVersion() == "590.1.2"
        assert pynvml.nvmlSystemGetNVMLVersion() == "13.590.1.2"
        assert pynvml.nvmlDeviceGetCount() == 1
        fresh.close()
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = host.library
        host.control("")


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("events = [{}]", "device[0].events[0].xid: is missing, and so is a kind"),
        ('events = [{ kind = "smoke" }]', "'smoke' is none of ecc_single, ecc_double"),
        ("events = [{ xid = 1, when = 2 }]", "device[0].events[0].when: is not known here"),
        ('recovery = "pray"', "'pray' is none of none, gpu_reset"),
    ],
)
def test_what_is_wrong_with_a_report(key: str, fault: str) -> None:
    """Each fault is named by its key."""
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(f'[[device]]\nprofile = "L4"\n{key}\n')
    assert fault in str(caught.value)
