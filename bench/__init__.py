"""Relay Hub measured beside other servers on one machine: `python -m bench --help`."""
