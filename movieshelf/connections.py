"""Whether a connection that waited in the pool still is one."""

import select
from typing import Any

import psycopg


def refuse_closed(connection: psycopg.Connection[Any]) -> None:
    """Raise OperationalError where PostgreSQL has closed this idle connection.

    PostgreSQL says goodbye on the socket when it restarts or ends a backend, and sends nothing on
    an idle connection otherwise. So a look at the socket, in microseconds, tells what a question
    to the database would: that costs every request a round trip.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise psycopg.OperationalError("The connection was closed while it waited.")
