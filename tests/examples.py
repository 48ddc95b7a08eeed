"""How many random examples a property is tried with: `make unit` tries a fifth of them."""

from hypothesis import HealthCheck, settings

_WHOLE = 100
"""What is tried where nothing is said."""

# A slow machine is no failure of a property. On CI hypothesis's own profile says the rest.
_PATIENT = settings(
    settings(),
    max_examples=_WHOLE,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("whole", _PATIENT)
settings.register_profile("quick", _PATIENT, max_examples=_WHOLE // 5)
settings.load_profile("whole")


def examples(count: int, *, steps: int | None = None) -> settings:
    """Try *count* examples, of *steps* steps each, where all are tried."""
    count = max(1, count * settings().max_examples // _WHOLE)
    if steps is None:
        return settings(max_examples=count)
    return settings(max_examples=count, stateful_step_count=steps)
