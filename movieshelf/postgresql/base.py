"""Connections that are there: what PostgreSQL closed while it waited is not handed out."""

import select
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Give a connection, of the pool where there is one, that is open.

        The pool's own `check` would ask the database each time, which costs every request a round
        trip; and for each connection that it finds closed it waits a second or more before it
        looks at the next, which after a restart of PostgreSQL is all of them.
        """
        while is_closed(connection := super().get_new_connection(conn_params)):
            connection.close()
            # It makes another one in its place.
            self.pool.putconn(connection)
        return connection


def connect[C: psycopg.Connection[Any]](kind: type[C], alias: str, **options: Any) -> C:
    """Open a connection to a database of the settings past Django and its pool, in autocommit.

    It prepares nothing by itself: behind a PgBouncer that is lost with the next transaction.
    """
    parameters = connections[alias].get_connection_params()
    # Its cursors and adapters are Django's; psycopg has its own.
    del parameters["cursor_factory"], parameters["context"]
    return kind.connect(**{**parameters, "prepare_threshold": None, "autocommit": True, **options})


def is_closed(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether PostgreSQL has closed this idle connection, without asking it.

    It says goodbye on the socket when it restarts or ends a backend, and nothing on an idle
    connection otherwise: a look at the socket takes microseconds.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
