"""Specification: a survey tells what NVML says, value by value, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pynvml  # noqa: TID251 - an older one is made of it
import pytest

from gpusched.adapters.nvml import child
from gpusched.adapters.nvml.shared_surveyor import SharedSurveyor
from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.core.ids import Instant, Moment
from gpusched.core.sample import NodeReading, Unavailable
from gpusched.core.survey import NodeSurvey, SurveyFailure
from gpusched.rpc.convert_survey import no_survey
from tests.fakes.simulator_control import write_control
from tests.fakes.surveyed import surveyed

LOST = SurveyFailure(15, "GPU is lost")
HANGING = '[[device]]\nindex = 0\nfaults = { hang = "forever" }\n'


@asynccontextmanager
async def over(directory: Path, scenario: str, survey: float = 30.0) -> AsyncIterator[NvmlChild]:
    """The NVML process over a simulated host."""
    prepare(directory, parse_scenario(scenario))
    found = NvmlChild(child_command(directory), patience=Patience(30.0, survey, first_pause=0.01))
    try:
        yield found
    finally:
        await found.close()


async def test_a_survey_beside_samples(tmp_path: Path) -> None:
    """Surveys and samples take turns; each gets its own answer."""
    async with over(tmp_path / "simulator", "2xH100") as nvml:
        answers = await asyncio.gather(*(nvml.survey(), nvml.sample()) * 3)
    for survey, sample in zip(answers[::2], answers[1::2], strict=True):
        assert isinstance(sample, NodeReading)
        assert isinstance(survey, NodeSurvey)
        assert survey.simulated
        names = [one.fields["name"] for one in survey.devices]
        assert names == ["NVIDIA H100 80GB HBM3"] * 2


async def test_a_lost_gpu_hides_no_other(tmp_path: Path) -> None:
    """A GPU that is lost fails as a whole, its process list included, and the others are read."""
    scenario = '[[device]]\nprofile = "L4"\nfaults = { lost = true }\n[[device]]\nprofile = "T4"\n'
    async with over(tmp_path / "simulator", scenario) as nvml:
        survey = await nvml.survey()
    assert isinstance(survey, NodeSurvey)
    first, second = survey.devices
    assert (first.failure, first.processes, second.failure) == (LOST, LOST, None)
    assert second.fields["name"] == "Tesla T4"


async def test_a_call_that_hangs_ends_the_survey(tmp_path: Path) -> None:
    """A survey that a driver holds up is given up at its deadline, with a reason, and samples are
    read again once the driver answers.
    """
    directory = tmp_path / "simulator"
    async with over(directory, "1xL4", survey=0.5) as nvml:
        assert isinstance(await nvml.sample(), NodeReading)
        write_control(directory, HANGING)
        survey = await nvml.survey()
        assert isinstance(survey, Unavailable)
        assert "did not answer for 0.5 s" in survey.reason
        write_control(directory, "")
        async with asyncio.timeout(20):
            # A call in a pause between two processes is answered at once.
            while not isinstance(await nvml.sample(), NodeReading):  # noqa: ASYNC110 - nobody tells when a pause is over
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("nvmlDeviceGetTemperature", "temperature.gpu"),
        ("nvmlDeviceGetName", "name"),
        ("nvmlDeviceGetUtilizationRates", "utilization.gpu"),
    ],
)
def test_one_call_that_fails(call: str, field: str) -> None:
    """A call that is refused leaves its own values out, with NVML's code, and no others."""
    faults = f"faults = {{ errors = {{ {call} = 999 }} }}"
    (device,) = devices(f'[[device]]\nprofile = "L4"\n{faults}\n')
    (whole,) = devices('[[device]]\nprofile = "L4"\n')
    assert device["fields"][field] == {"failure": {"code": 999, "words": "Unknown Error"}}
    failed = {name for name, value in device["fields"].items() if value != whole["fields"][name]}
    assert field in failed
    assert len(failed) <= 2


def test_lists_that_may_not_be_read() -> None:
    """A process list that is refused is a failure of the list, never an empty one."""
    (device,) = devices('[[device]]\nprofile = "L4"\nfaults = { no_permission = true }\n')
    failure = {"code": 4, "words": "Insufficient Permissions"}
    assert device["processes_failure"] == failure
    assert device["processes"] == []


def test_memory_of_an_old_driver() -> None:
    """Where memory version 2 is missing, version 1 answers; what it does not know is missing."""
    (device,) = devices('[[device]]\nprofile = "L4"\nfaults = { no_memory_v2 = true }\n')
    fields = device["fields"]
    assert fields["memory.reserved"]["failure"]["code"] == 3
    assert fields["memory.total"] == {"number": str(23034 << 20)}


def test_rows_of_an_odd_width() -> None:
    """The rows that drivers 535.43 to 535.86 wrote are read as what they are."""
    rows = "".join(f'[[process]]\npid = {pid}\nmemory = "{pid}MiB"\n' for pid in (11, 12, 13))
    (device,) = devices(f'process_stride = 32\n[[device]]\nprofile = "L4"\n{rows}')
    found = [(one["pid"], one["used_memory"]["number"]) for one in device["processes"]]
    assert found == [(pid, str(pid << 20)) for pid in (11, 12, 13)]


def test_no_call_is_unknown_to_the_simulator() -> None:
    """Of a captured card every value is read, or the card does not have it: no call is missing."""
    for one in devices("T4,L40S,A100-40GB,H100"):
        codes = {
            name: value.get("failure", {}).get("code") for name, value in one["fields"].items()
        }
        assert set(codes.values()) <= {None, 3, 26}


def test_an_older_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that the installed binding does not have, or has with other arguments, is one value
    less.
    """
    monkeypatch.delattr(pynvml, "nvmlDeviceGetModuleId")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetBoardId", lambda: 0)
    monkeypatch.delattr(pynvml, "c_nvmlEccSramErrorStatus_v1_t")
    (one,) = devices("A100-40GB")
    absent = {"failure": {"code": 13, "words": "Function Not Found"}}
    sram = {name for name in one["fields"] if "ecc_errors" in name and "repair" not in name}
    missing = {name for name, value in one["fields"].items() if value == absent}
    assert missing == {"platform.module_id", "board_id", *sram} - {
        "ecc_errors.unrepairable_memory"
    }


def test_errors_by_place() -> None:
    """Errors of DRAM and of SRAM are counted apart, by kind and by span."""
    counts = {
        f"{place}_{kind}_{span}": number
        for number, (place, kind, span) in enumerate(
            product(("dram", "sram"), ("corrected", "uncorrected"), ("volatile", "aggregate")), 1
        )
    }
    details = ", ".join(f"{key} = {number}" for key, number in counts.items())
    (one,) = devices(f'[[device]]\nprofile = "H100"\ndetails = {{ {details} }}\n')
    for key, number in counts.items():
        place, kind, span = key.split("_")
        assert one["fields"][f"ecc.errors.{kind}.{span}.{place}"] == {"number": str(number)}
    assert one["fields"]["ecc.errors.corrected.volatile.total"] == {"number": str(1 + 5)}


def test_an_instance_that_is_lost() -> None:
    """A MIG device that is lost while it is read takes neither its GPU nor its like with it."""
    errors = "faults = { errors = { nvmlDeviceGetComputeInstanceId = 15 } }"
    (one,) = devices(f'[[device]]\nprofile = "H100"\nmig = ["3g.40gb"]\n{errors}\n')
    assert "failure" not in one
    (instance,) = one["mig_devices"]
    assert instance["failure"] == {"code": 15, "words": "GPU is lost"}
    assert instance["uuid"].startswith("MIG-")


def test_a_survey_in_vain_has_the_code_of_its_reason() -> None:
    """What NVML answered at its start is told by the sentence that the NVML process says."""
    now = Moment(Instant(0), 0)
    for code, sentence in child._WHAT_TO_DO.items():
        assert no_survey(Unavailable(sentence), "host-1", now).unavailable_code == code
    unknown = no_survey(Unavailable("NVML answers: Unknown Error (code 999)"), "host-1", now)
    assert unknown.unavailable_code == 999


class Slow:
    """A surveyor that answers when it is let, and counts."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.calls = 0

    async def survey(self) -> Unavailable:
        self.calls += 1
        number = self.calls
        await self.go.wait()
        return Unavailable(str(number))


async def test_a_crowd_shares_a_survey() -> None:
    """Who asks while a survey is read gets the next one, all of them the same, also when one of
    them goes away.
    """
    slow = Slow()
    shared = SharedSurveyor(slow)
    first = asyncio.create_task(shared.survey())
    while not slow.calls:  # noqa: ASYNC110 - the fake says so
        await asyncio.sleep(0)
    crowd = [asyncio.create_task(shared.survey()) for _ in range(20)]
    await asyncio.sleep(0)
    crowd[0].cancel()
    slow.go.set()
    assert await first == Unavailable("1")
    assert {await one for one in crowd[1:]} == {Unavailable("2")}
    assert await shared.survey() == Unavailable("3")


async def test_a_survey_that_hangs_is_not_asked_for_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asks again and again for what hangs leaves samples as much time as he takes: he is told
    the reason again, with everybody who has waited for a turn meanwhile.
    """
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    slow = Slow()
    shared = SharedSurveyor(slow, long=15)
    asked = [asyncio.create_task(shared.survey())]
    while not slow.calls:  # noqa: ASYNC110 - the fake says so
        await asyncio.sleep(0)
    now += 20
    asked.append(asyncio.create_task(shared.survey()))
    await asyncio.sleep(0)
    slow.go.set()
    assert await asyncio.gather(*asked) == [Unavailable("1")] * 2
    now += 19
    assert await shared.survey() == Unavailable("1")
    now += 1
    assert await shared.survey() == Unavailable("2")
    assert await shared.survey() == Unavailable("3")


def devices(scenario: str) -> list[dict]:  # type: ignore[type-arg]  # a JSON document
    """The GPUs of the survey of a simulated host."""
    found = surveyed(scenario)["devices"]
    assert isinstance(found, list)
    return found
