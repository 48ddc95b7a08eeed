"""Specification: a survey tells what NVML says, value by value, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gpusched.adapters.null import NullSampler
from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare, write_control
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.core.sample import NodeReading, Unavailable
from gpusched.core.survey import NodeSurvey, SurveyFailure
from tests.fakes.surveyed import surveyed

LOST = SurveyFailure(15, "GPU is lost")
HANGING = '[[device]]\nindex = 0\nfaults = { hang = "forever" }\n'


@asynccontextmanager
async def over(directory: Path, scenario: str, survey: float = 30.0) -> AsyncIterator[NvmlChild]:
    """The NVML process over a simulated host."""
    prepare(directory, parse_scenario(scenario))
    child = NvmlChild(child_command(directory), patience=Patience(30.0, survey, first_pause=0.01))
    try:
        yield child
    finally:
        await child.close()


async def test_a_survey_beside_samples(tmp_path: Path) -> None:
    """Surveys and samples take turns; each gets its own answer."""
    async with over(tmp_path / "simulator", "2xH100") as child:
        answers = await asyncio.gather(*(child.survey(), child.sample()) * 3)
    for survey, sample in zip(answers[::2], answers[1::2], strict=True):
        assert isinstance(sample, NodeReading)
        assert isinstance(survey, NodeSurvey)
        assert survey.simulated
        names = [one.fields["name"] for one in survey.devices]
        assert names == ["NVIDIA H100 80GB HBM3"] * 2


async def test_a_lost_gpu_hides_no_other(tmp_path: Path) -> None:
    """A GPU that is lost fails as a whole, its process list included, and the others are read."""
    scenario = '[[device]]\nprofile = "L4"\nfaults = { lost = true }\n[[device]]\nprofile = "T4"\n'
    async with over(tmp_path / "simulator", scenario) as child:
        survey = await child.survey()
    assert isinstance(survey, NodeSurvey)
    first, second = survey.devices
    assert (first.failure, first.processes, second.failure) == (LOST, LOST, None)
    assert second.fields["name"] == "Tesla T4"


async def test_a_call_that_hangs_ends_the_survey(tmp_path: Path) -> None:
    """A survey that a driver holds up is given up at its deadline, with a reason, and samples are
    read again once the driver answers.
    """
    directory = tmp_path / "simulator"
    async with over(directory, "1xL4", survey=0.5) as child:
        assert isinstance(await child.sample(), NodeReading)
        write_control(directory, HANGING)
        survey = await child.survey()
        assert isinstance(survey, Unavailable)
        assert "did not answer for 0.5 s" in survey.reason
        write_control(directory, "")
        async with asyncio.timeout(20):
            # A call in a pause between two processes is answered at once.
            while not isinstance(await child.sample(), NodeReading):  # noqa: ASYNC110 - nobody tells when a pause is over
                await asyncio.sleep(0.05)


async def test_without_a_library() -> None:
    """Where nothing can be read the survey says why, in the words of the sample."""
    null = NullSampler("no driver; install it")
    assert await null.survey() == await null.sample() == Unavailable("no driver; install it")


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


def devices(scenario: str) -> list[dict]:  # type: ignore[type-arg]  # a JSON document
    """The GPUs of the survey of a simulated host."""
    found = surveyed(scenario)["devices"]
    assert isinstance(found, list)
    return found
