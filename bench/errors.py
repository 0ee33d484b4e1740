"""Errors that the user can fix."""


class BenchError(Exception):
    """One line for the user, shown without a traceback."""


class Missing(BenchError):
    """A server cannot be measured. The line says why, or how to install it. The run goes on."""
