"""Asks all workers of a parent at once what they say of themselves."""

import asyncio
from collections.abc import Callable, Mapping

from relay.metrics.host import Host, View
from relay.workers.process import WorkerProcess

ANSWER_SECONDS = 2.0
"""How long a worker has to answer: less than a scrape may take."""


class Survey:
    """`workers` returns the workers there are, by their labels; `deaths` how many have died."""

    def __init__(
        self,
        workers: Callable[[], Mapping[str, WorkerProcess]],
        deaths: Callable[[], int],
    ) -> None:
        self._workers = workers
        self._deaths = deaths

    async def collect(self, view: View) -> Host:
        """Leaves out, and counts, who does not answer in time."""
        workers = self._workers()
        asked = (worker.ask(view, ANSWER_SECONDS) for worker in workers.values())
        answers = dict(zip(workers, await asyncio.gather(*asked), strict=True))
        said = {label: answer for label, answer in answers.items() if answer is not None}
        return Host(said, len(answers) - len(said), self._deaths())
