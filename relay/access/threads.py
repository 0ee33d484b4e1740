"""Threads for a site's own synchronous code: its sessions, its users and its access rules.

asgiref has one thread for all synchronous code outside of Django's handler, so one slow rule would
delay everybody. Here each kind of work has a few threads of its own. Code that has a thread already,
in a Django view or a test, stays there: it may be inside a transaction.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.db import close_old_connections

PER_KIND = 8
"""How many threads each kind of work may have. They are started when they are needed."""

_R = TypeVar("_R")


async def run(kind: Hashable, function: Callable[..., _R], *arguments: object) -> _R:
    """Returns what the function returns. `kind` is a rule, or the name of other work."""
    if _has_thread():
        return await sync_to_async(function)(*arguments)
    work = sync_to_async(_on_fresh_connections, thread_sensitive=False, executor=_pool(kind))
    return await work(function, *arguments)


def _has_thread() -> bool:
    """Whether a Django view, or `async_to_sync`, has a thread for the code that runs now."""
    return bool(
        SyncToAsync.thread_sensitive_context.get(None)
        or getattr(AsyncToSync.executors, "current", None)
    )


@cache
def _pool(kind: Hashable) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PER_KIND, thread_name_prefix="relay-access")


def _on_fresh_connections(function: Callable[..., _R], *arguments: object) -> _R:
    """Django closes connections that broke or are too old around its own requests only."""
    close_old_connections()
    try:
        return function(*arguments)
    finally:
        close_old_connections()
