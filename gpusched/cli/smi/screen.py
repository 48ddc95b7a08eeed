"""The classic screen: date, device table, MIG table, process table."""

import time

from gpusched.cli.smi import device_table
from gpusched.cli.smi.layouts import Layout
from gpusched.cli.smi.mig_table import mig_lines
from gpusched.cli.smi.process_table import process_lines
from gpusched.cli.smi.survey import Device, Survey
from gpusched.cli.words import instant


def screen_lines(
    survey: Survey, devices: list[Device], layout: Layout, room: int = 0
) -> list[str]:
    """Give the screen, laid out in bytes.

    Args:
        survey: The host.
        devices: The GPUs to show.
        layout: The branch.
        room: Columns that longer process names may take beyond the branch's.
    """
    return [
        f"{date_of(survey)}       ",
        *device_table.head(survey, layout),
        *(line for one in devices for line in device_table.rows(one, layout)),
        *mig_lines(devices, layout),
        " " * layout.processes.above,
        *process_lines(devices, layout, room),
    ]


def date_of(survey: Survey) -> str:
    """Give the local time of the survey as `date` in the C locale does."""
    return time.strftime("%a %b %e %T %Y", time.localtime(instant(survey.document.text("at"))))
