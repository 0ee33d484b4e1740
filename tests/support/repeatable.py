"""One seed for all that is random in a test run. It is printed at the head; TEST_SEED repeats it."""

import os
import random
import secrets

import pytest

NAME = "TEST_SEED"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Chooses the seed, also for Hypothesis and pytest-randomly; pytest-xdist hands the variable on."""
    given = getattr(config.option, "randomly_seed", "default")
    if isinstance(given, int):
        os.environ[NAME] = str(given)
    seed = os.environ.setdefault(NAME, str(secrets.randbits(32)))
    if given == "default":
        config.option.randomly_seed = int(seed)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = seed


def pytest_report_header() -> str:
    return f"seed: {os.environ[NAME]} (repeat with {NAME}={os.environ[NAME]})"


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test draws the same numbers alone as among others."""
    random.seed(f"{os.environ[NAME]} {item.path.name} {item.name}")
