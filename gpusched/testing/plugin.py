"""The pytest plugin: `gpusched_daemon`, a simulated host for one test.

Loaded with every pytest of an environment that has gpusched: nothing may be imported here that
pytest has not loaded already.
"""

from collections.abc import Iterator

import pytest

from gpusched import testing


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        'gpusched_host(simulate, config=""): what the fixture gpusched_daemon simulates, as for'
        " gpusched.testing.daemon",
    )


@pytest.fixture
def gpusched_daemon(request: pytest.FixtureRequest) -> Iterator["testing.SimulatedHost"]:
    """A simulated host of two L4, or what the marker `gpusched_host` says."""
    marker = request.node.get_closest_marker("gpusched_host")
    words, more = ((), {}) if marker is None else (marker.args, marker.kwargs)
    with testing.daemon(*words, **more) as host:
        yield host
