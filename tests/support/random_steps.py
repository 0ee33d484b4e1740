"""Settings of Hypothesis for tests that play random steps on a real server."""

from hypothesis import HealthCheck, settings

ON_A_SERVER = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""The test itself empties the server before each example."""
