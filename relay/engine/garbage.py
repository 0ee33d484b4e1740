"""The garbage collector of a process that serves streams."""

import gc
from functools import cache


@cache
def calm() -> None:
    """Leaves out what is there now, and has the collector look seldom. Does that once.

    A full collection looks at every object and stops every stream meanwhile. What a hub makes for a message
    or a stream is freed by reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
