"""Which schedules a run of the tests has, and how one that failed is run again."""

import math
import os
from collections.abc import Callable

from tests.simulation.schedule import Schedule
from tests.simulation.truth import Violation

FIRST_SEED = 1


def seeds_in(block: int, blocks: int, usual: int) -> range:
    """The seeds of one of the blocks that can run in parallel; `usual` is the number in all blocks.

    The environment decides: SEED is the first one, alone if SCHEDULES does not give a number.
    """
    given = os.environ.get("SEED")
    first = int(given) if given else FIRST_SEED
    number = int(os.environ.get("SCHEDULES", 1 if given else usual))
    size = math.ceil(number / blocks)
    return range(first + block * size, min(first + (block + 1) * size, first + number))


def run(schedule: Schedule, file: str) -> None:
    """Runs it. Whatever it finds says how to run the same one again from `file`."""
    try:
        schedule.run()
    except Exception as error:
        again = f"SEED={schedule.seed} pytest tests/simulation/{file}"
        error.add_note(f"Again: {again}. The last steps:")
        error.add_note(", ".join(schedule.trace[-20:]))
        raise


def caught_after(limit: int, make: Callable[[int], Schedule]) -> int:
    """How many schedules it took until one found a violation."""
    for number in range(1, limit + 1):
        try:
            make(number).run()
        except Violation:
            return number
    raise AssertionError(f"not caught in {limit} schedules")
