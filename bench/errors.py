"""What goes wrong in a way that the user can mend."""


class BenchError(Exception):
    """One clear line for the user; never shown as a traceback."""


class Missing(BenchError):
    """A server that cannot be measured: the line says why, or how to install it; the run goes on."""
