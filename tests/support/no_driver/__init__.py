"""A database backend whose driver is not installed."""
