"""The version of relay-hub."""

__version__ = "0.2.0"
