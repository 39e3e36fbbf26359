"""Whether the process lives, and whether it can serve."""

from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout

from movieshelf.api.cache import ResilientRedisCache
from movieshelf.api.errors import MethodNotAllowed
from movieshelf.api.rendering import JSON_TYPE, to_json


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives; nothing is touched to find out."""
    refuse_changes(request)
    return _answer({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The database is reachable and migrated; the cache's state is told, not required."""
    refuse_changes(request)
    database = database_state()
    body = {"status": database, "database": database, "cache": cache_state()}
    return _answer(body, status=200 if database == "ok" else 503)


def database_state() -> str:
    """Give `ok`, `unreachable` or `not migrated`."""
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError, PoolTimeout):
        return "unreachable"
    return "not migrated" if pending else "ok"


def cache_state() -> str:
    """Give `ok` or `unreachable`, or `own` where each process has its own."""
    backend = caches[DEFAULT_CACHE_ALIAS]
    if not isinstance(backend, ResilientRedisCache):
        return "own"
    return "ok" if backend.answers else "unreachable"


def refuse_changes(request: HttpRequest) -> None:
    """Raise MethodNotAllowed unless the request only reads."""
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(headers={"Allow": "GET, HEAD"})


def _answer(body: dict[str, str], status: int = 200) -> HttpResponse:
    response = HttpResponse(to_json(body), status=status, content_type=JSON_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.enveloped = True  # type: ignore[attr-defined]  # the state itself is the answer
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response
