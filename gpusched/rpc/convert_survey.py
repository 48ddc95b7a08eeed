"""A survey on the wire, as far as the caller may see the processes in it."""

from collections.abc import Iterable, Mapping

from gpusched.api.v1 import survey_pb2
from gpusched.core.attribution import Attributed
from gpusched.core.ids import Moment
from gpusched.core.ledger import Ledger
from gpusched.core.sample import ProcessFacts, Unavailable
from gpusched.core.sight import Sight
from gpusched.core.sizes import LARGEST
from gpusched.core.survey import (
    NodeSurvey,
    SurveyedDevice,
    SurveyedProcess,
    SurveyFailure,
    SurveyValue,
)
from gpusched.rpc.call import Call
from gpusched.rpc.convert_reading import OF_ANOTHER, time_of

_NO_PERMISSION = SurveyFailure(4, OF_ANOTHER.reason)
_ABSURD = SurveyFailure(999, "a number that cannot be")
_NO_LIBRARY, _NO_DRIVER, _MISMATCH, _UNKNOWN = 12, 9, 18, 999


def survey_of(
    survey: NodeSurvey, node: str, ledger: Ledger, now: Moment, call: Call
) -> survey_pb2.NodeSurvey:
    """Give a survey."""
    known = _facts(ledger)
    return survey_pb2.NodeSurvey(
        node=node,
        at=time_of(now.wall_of(survey.at)),
        simulated=survey.simulated,
        fields=_fields(survey.fields),
        devices=[_device(one, known, ledger, call) for one in survey.devices],
    )


def no_survey(reason: Unavailable, node: str, now: Moment) -> survey_pb2.NodeSurvey:
    """Say why there is none, with NVML's code where the sentence tells it."""
    return survey_pb2.NodeSurvey(
        node=node,
        at=time_of(now.wall),
        unavailable=reason.reason,
        unavailable_code=_code(reason.reason),
    )


def _code(sentence: str) -> int:
    if "was not found or cannot be loaded" in sentence:
        return _NO_LIBRARY
    if "different versions" in sentence:
        return _MISMATCH
    if "may not be used by this user" in sentence:
        return _NO_PERMISSION.code
    return _NO_DRIVER if "driver is not loaded" in sentence else _UNKNOWN


def _facts(ledger: Ledger) -> Mapping[int, ProcessFacts]:
    """Give what the last sample knows of processes, by pid."""
    lists = (use.processes for use in ledger.uses.values())
    rows: Iterable[Attributed] = (
        one for found in lists if not isinstance(found, Unavailable) for one in found
    )
    return {one.context.pid: one.facts for one in rows if one.facts is not None}


def _fields(fields: Mapping[str, SurveyValue]) -> dict[str, survey_pb2.SurveyValue]:
    return {name: _value(value) for name, value in fields.items()}


def _value(value: SurveyValue) -> survey_pb2.SurveyValue:
    if isinstance(value, SurveyFailure):
        return survey_pb2.SurveyValue(failure=_failure(value))
    if isinstance(value, int):
        if abs(value) >= LARGEST:
            return survey_pb2.SurveyValue(failure=_failure(_ABSURD))
        return survey_pb2.SurveyValue(number=value)
    return survey_pb2.SurveyValue(text=value)


def _failure(failure: SurveyFailure) -> survey_pb2.SurveyFailure:
    return survey_pb2.SurveyFailure(code=failure.code, words=failure.words)


def _device(
    device: SurveyedDevice, known: Mapping[int, ProcessFacts], ledger: Ledger, call: Call
) -> survey_pb2.SurveyedDevice:
    unread = device.processes if isinstance(device.processes, SurveyFailure) else None
    rows = () if isinstance(device.processes, SurveyFailure) else device.processes
    processes = (_process(one, known.get(one.pid), ledger, call) for one in rows)
    return survey_pb2.SurveyedDevice(
        index=device.index,
        uuid=device.uuid,
        fields=_fields(device.fields),
        failure=None if device.failure is None else _failure(device.failure),
        processes=[one for one in processes if one is not None],
        processes_failure=None if unread is None else _failure(unread),
        mig_devices=[_device(one, known, ledger, call) for one in device.mig_devices],
        mps_pids=[one for one in device.mps_pids if _sight(known.get(one), ledger, call).device],
    )


def _sight(facts: ProcessFacts | None, ledger: Ledger, call: Call) -> Sight:
    """Say what the caller may see of a process; one of nobody known is as another's."""
    return call.sight_of(None if facts is None else facts.uid, ledger.policy.others)


def _process(
    process: SurveyedProcess, facts: ProcessFacts | None, ledger: Ledger, call: Call
) -> survey_pb2.SurveyedProcess | None:
    """Give a row; none of a process whose device the caller may not see."""
    seen = _sight(facts, ledger, call)
    if not seen.device:
        return None
    name = process.name
    if not seen.command:
        # NVML's is a path; the kernel's every `ps` shows.
        name = _NO_PERMISSION if facts is None else facts.name
    return survey_pb2.SurveyedProcess(
        pid=process.pid,
        type=process.type,
        gpu_instance=process.gpu_instance,
        compute_instance=process.compute_instance,
        name=_value(name),
        used_memory=_value(process.memory if seen.memory else _NO_PERMISSION),
        compute=process.compute,
    )
