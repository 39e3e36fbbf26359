"""What MovieShelf counts, in Prometheus' terms; `movieshelf.scraping` shows it.

Several processes serve, and one of them answers a scrape. With PROMETHEUS_MULTIPROC_DIR set, as
bin/serve.py does, each keeps its numbers in a file there, and the answer adds them up; without it a
process knows its own. No label here may hold what a client chooses freely.
"""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

# Seconds. The first tell a hot answer from one with queries, the last are those of our time-outs.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_SECONDS = Histogram(
    "movieshelf_request_seconds",
    "How long a request took, until its answer was handed to the server.",
    ["method", "route", "status"],
    buckets=BUCKETS,
)
QUERIES = Counter("movieshelf_queries", "Statements that requests sent to the database.")
SLOW_QUERIES = Counter("movieshelf_slow_queries", "Statements slower than SLOW_QUERY_MS.")
CEILINGS_HIT = Counter("movieshelf_ceilings_hit", "Requests refused with 429.", ["ceiling"])
REFUSED_AT_THE_DOOR = Counter(
    "movieshelf_refused_at_the_door", "Requests told 503 because the line was full."
)
CACHE_LOOKUPS = Counter(
    "movieshelf_cache_lookups", "Answers looked for in a cache.", ["cache", "result"]
)
POOL = Gauge(
    "movieshelf_pool_connections",
    "Connections to the database by their state, and the requests that wait for one.",
    ["database", "state"],
    multiprocess_mode="livesum",
)

_request_series: dict[tuple[str, str, int], Callable[[float], None]] = {}


class Lookups:
    """Hits and misses of one cache; finding a series by its labels costs as much as counting."""

    def __init__(self, cache: str) -> None:
        self.hit = CACHE_LOOKUPS.labels(cache, "hit").inc
        self.miss = CACHE_LOOKUPS.labels(cache, "miss").inc


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Add one answered request."""
    key = (method, route, status)
    observe = _request_series.get(key)
    if observe is None:
        known = method if method in METHODS else "other"
        observe = REQUEST_SECONDS.labels(known, route, str(status)).observe
        if known == method:  # a method that somebody made up is not kept
            _request_series[key] = observe
    observe(seconds)
