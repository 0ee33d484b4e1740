"""The bounds of a connection; docs/operations.md has them as well."""

HEAD_SECONDS = 30.0
"""For a whole head, and for the first byte of a new connection."""

IDLE_SECONDS = 60.0
"""For the next request of a connection that is kept."""

BODY_SECONDS = 30.0
BODY_BYTES = 32 * 1024
"""What a body must bring in each such time, unless it ends."""

LINGER_SECONDS = 2.0
"""For the client to read a refusal while it still sends."""

CLOSE_SECONDS = 15.0
"""For what is buffered to leave, when the connection is to be closed."""

STALL_SECONDS = 60.0
"""For a client to take anything of a response that is not a stream."""

READ_BYTES = 8 * 1024
"""What one read brings, so that no parser has more than a few milliseconds of work at once."""

FIELD_NAME_BYTES = 256
"""Twisted keeps 10,000 names in a cache, whatever their length."""

LENGTH_DIGITS = 18

QUEUED_BYTES = 64 * 1024
"""What waits for the application before the client has to."""

BODIES_BYTES = 64 * 1024 * 1024
"""What all large bodies may hold together, or one of the largest that is allowed."""

WAITING = 8192
"""Connections without a complete head. The one that has waited longest is cut for a new one."""

BACKLOG = 4096
"""Connections that wait to be accepted: a thousand browsers may come at once."""

ACCEPTED_AT_ONCE = 32
"""Connections of one turn of the event loop: some milliseconds, as much as a slice of a pass takes.
Else a message, and what is asked of Redis, waits while thousands come back."""

ACCEPTED_AT_THE_END = 4096
STOP_SECONDS = 1.0
"""What heads that are under way get when the server stops."""
