"""Mutants of what a hub does about the nodes of a cluster: the checks must catch every one."""

from relay.broker.keys import Keys
from relay.feed.entries import Entry
from relay.source.entered import Entered
from relay.source.intake import Intake
from relay.source.session import Session
from tests.simulation import history, redis
from tests.simulation.mutants import Mutant, Patch


def all_nodes_have_one_marker_channel(patch: Patch) -> None:
    patch.setattr(Keys, "marker", lambda self, node: f"{self._tagged}:marker")


def a_new_master_counts_at_once(patch: Patch) -> None:
    real = Intake._first_marker

    def first_marker(self: Intake, session: Session, epoch: int, now_ms: int) -> None:
        if self.before(session) is None:
            real(self, session, epoch, now_ms)
            return
        session.epoch = epoch
        session.marked.set()
        self._live = session
        self._mark(epoch, now_ms)

    patch.setattr(Intake, "_first_marker", first_marker)


def an_epoch_is_a_second(patch: Patch) -> None:
    def next_epoch(now_us: int, *known: object) -> int:
        return history.next_epoch(now_us // 1_000_000 * 1_000_000, *known)  # type: ignore[arg-type]

    patch.setattr(redis, "next_epoch", next_epoch)


def the_old_master_counts_while_the_hole_is_filled(patch: Patch) -> None:
    real = Intake.fill

    def fill(self: Intake, session: Session, entry: Entry) -> None:
        before = self._live
        real(self, session, entry)
        if self._live is None:
            self._live = before

    patch.setattr(Intake, "fill", fill)
    patch.setattr(Entered, "before", None)


MUTANTS: dict[Mutant, int] = {
    all_nodes_have_one_marker_channel: 30,
    a_new_master_counts_at_once: 30,
    an_epoch_is_a_second: 30,
    the_old_master_counts_while_the_hole_is_filled: 30,
}
"""With the number of schedules that are enough."""
