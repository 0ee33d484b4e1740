"""The command line of tests that run for minutes."""

import argparse
import random


def options(name: str, about: str | None) -> argparse.Namespace:
    """Reads `--seconds` and `--seed`, and prints both, so that a run can be repeated."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.{name}", description=about)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    read = parser.parse_args()
    print(f"{name}: {read.seconds:g} s with seed {read.seed}", flush=True)
    return read
