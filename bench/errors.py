"""What goes wrong in a way that the user can mend."""


class BenchError(Exception):
    """One clear line for the user; never shown as a traceback."""


class Missing(BenchError):
    """A server that is not installed: the line says how to install it, and the run goes on."""
