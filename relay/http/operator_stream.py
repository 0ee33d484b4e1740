"""Lets operators into the stream of the operator's page, and nobody else."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from relay.access.identity import Credentials, Viewer
from relay.access.operators import NotOperator, operator_by
from relay.access.problem import Problem
from relay.conf.catalogue import Catalogue, Target
from relay.conf.origins import is_own
from relay.http.query import find_channels
from relay.http.request import StreamRequest


def find_targets(catalogue: Catalogue, names: Sequence[str]) -> list[Target]:
    """Returns the operator's channel if it is the only name, else what `find_channels` does."""
    if list(names) == [catalogue.operators.name]:
        return [catalogue.operators]
    return find_channels(catalogue, names)


async def operator_viewer(request: StreamRequest, credentials: Credentials, host: str) -> Viewer:
    """Returns the operator that asks from a page of this site. Raises Problem (403)."""
    foreign = request.origin is not None and not is_own(request.origin, host)
    if foreign or request.of_another_page:
        raise Problem(403, _("Only the operator's page of this site may read this."))
    try:
        operator = await operator_by(credentials, request.cookie)
    except NotOperator:
        raise Problem(403, _("You may not see this (relay.operate).")) from None
    return Viewer(None, operator.key, None, operator.ends_at)
