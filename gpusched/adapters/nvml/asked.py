"""One call of NVML and the values of a survey that it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpusched.adapters.nvml import binding, binding_values
from gpusched.core.survey import SurveyFailure, SurveyValue

NOT_SUPPORTED: Final = SurveyFailure(binding.NOT_SUPPORTED, "Not Supported")
"""Of a value that is there only as a number for "none"."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How one or more fields are asked for.

    Attributes:
        names: Of the fields.
        ask: Gives a value for each of them, or raises `binding.NvmlFailure` for all.
    """

    names: tuple[str, ...]
    ask: Callable[[binding.Handle], Sequence[SurveyValue]]

    def of(self, device: binding.Handle) -> dict[str, SurveyValue]:
        """Ask *device*; what fails is a value as well.

        Raises:
            binding.NvmlFailure: The device itself is lost or needs a reset.
        """
        try:
            values = self.ask(device)
        except binding.NvmlFailure as failure:
            if failure.code in binding.GONE:
                raise
            values = (failed(failure),) * len(self.names)
        return dict(zip(self.names, values, strict=True))


def failed(failure: binding.NvmlFailure) -> SurveyFailure:
    """Give a refusal of NVML as a value."""
    return SurveyFailure(int(failure.code), failure.words)


def one(
    name: str, function: str, *arguments: object, make: Callable[[Any], SurveyValue] = int
) -> Asked:
    """Ask for one value.

    Args:
        name: Of the field.
        function: Of pynvml.
        arguments: Behind the handle.
        make: Makes the value of what pynvml gives.
    """
    return Asked((name,), lambda device: (make(binding_values.ask(function, device, *arguments)),))


def several(
    names: Sequence[str],
    function: str,
    *arguments: object,
    make: Callable[[Any], SurveyValue] = int,
) -> Asked:
    """Ask for as many values as there are *names*, which pynvml gives as a list."""
    return Asked(
        tuple(names),
        lambda device: [make(each) for each in binding_values.ask(function, device, *arguments)],
    )


def alike(names: Sequence[str], function: str, *arguments: object) -> Asked:
    """Ask for one number that has several names."""
    return Asked(
        tuple(names),
        lambda device: (int(binding_values.ask(function, device, *arguments)),) * len(names),
    )


def first(name: str, function: str, *arguments: object) -> Asked:
    """Ask for the first number of a list; what stands behind it is a sampling period."""
    return one(name, function, *arguments, make=lambda answer: int(answer[0]))


def structure(
    names: Sequence[str],
    function: str,
    make: Callable[[Any], Sequence[SurveyValue]],
    *arguments: object,
) -> Asked:
    """Ask for the values that *make* takes out of what pynvml gives."""
    return Asked(
        tuple(names), lambda device: make(binding_values.ask(function, device, *arguments))
    )
