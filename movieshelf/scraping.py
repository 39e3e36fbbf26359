"""`/metrics`: what was counted, and how things stand right now, for Prometheus."""

import ipaddress
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpResponse
from django.utils.crypto import constant_time_compare
from drf_spectacular.utils import OpenApiResponse, extend_schema
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from psycopg_pool import PoolTimeout
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from movieshelf.api.addresses import client_ip
from movieshelf.api.errors import AuthFailed
from movieshelf.api.rendering import NonJSONRenderer
from movieshelf.api.views import ApiView
from movieshelf.models import NumbersCheck
from movieshelf.queue import queue_state

STATEMENT_TIMEOUT_MS = 2_000


class PrometheusRenderer(NonJSONRenderer):
    """Lets the view be asked for what Prometheus reads."""

    # Without its parameters: DRF would find only those who ask for them.
    media_type = "text/plain"
    format = "prometheus"


class MayScrape(BasePermission):
    """Whoever has METRICS_TOKEN or asks from METRICS_NETWORKS. Raises AuthFailed."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        shows = request.method != "OPTIONS"
        if shows and not (_is_near(request) or _has_token(request)):
            raise AuthFailed
        return True


class MetricsView(ApiView):
    """The numbers of all processes of this server, as Prometheus reads them.

    Not for the world: `Authorization: Bearer` and METRICS_TOKEN, or a client of METRICS_NETWORKS.
    No access token opens it.
    """

    authentication_classes = ()
    permission_classes = (MayScrape,)
    renderer_classes = (PrometheusRenderer,)
    personal = True
    is_download = True
    error_statuses = {"GET": (401,)}  # noqa: RUF012  # as in the other views

    @extend_schema(
        auth=[{"metricsToken": []}, {}],  # type: ignore[list-item]  # the stubs say str
        responses={(200, PrometheusRenderer.media_type): OpenApiResponse(str)},
    )
    def get(self, request: Request) -> HttpResponse:
        """Get the numbers of this server.

        As Prometheus reads them. Not for the world: `Authorization: Bearer` and `METRICS_TOKEN`, or
        a client of `METRICS_NETWORKS`; no access token opens it.
        """
        text = generate_latest(registry())
        return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def registry() -> CollectorRegistry:
    """Give what one scrape shows: this server's counters, and the state of the shelf."""
    found = CollectorRegistry()
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        forget_dead(Path(folder))
        MultiProcessCollector(found, folder)  # type: ignore[no-untyped-call]  # it has no types
    else:
        found.register(REGISTRY)
    found.register(ShelfCollector())
    return found


def forget_dead(folder: Path) -> None:
    """Take the gauges of processes that are gone out of the sums; what they counted stays."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # it has no types


class ShelfCollector:
    """Reads from the database what no process counts; says so where it does not answer."""

    def collect(self) -> Iterator[Metric]:
        found: list[Metric] = []
        with suppress(DatabaseError, InterfaceError, PoolTimeout):
            found = list(_read())
        yield GaugeMetricFamily(
            "movieshelf_database_up", "Whether the database answered.", value=bool(found)
        )
        yield from found


def _read() -> Iterable[Metric]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        queue = queue_state(cursor)
        checked = NumbersCheck.objects.first()
    jobs = GaugeMetricFamily(
        "movieshelf_jobs", "Jobs of the background work by their state.", labels=["state"]
    )
    for state in ("waiting", "scheduled", "running", "failed"):
        jobs.add_metric([state], getattr(queue, state))
    yield jobs
    yield GaugeMetricFamily(
        "movieshelf_oldest_job_seconds",
        "How long the oldest job that is due has been waiting.",
        value=queue.oldest_seconds,
    )
    if checked:
        yield GaugeMetricFamily(
            "movieshelf_drifted_numbers",
            "Films and totals whose numbers were not what their rows say, when last compared.",
            value=checked.drifted,
        )
        yield GaugeMetricFamily(
            "movieshelf_numbers_checked_timestamp_seconds",
            "When the numbers were last compared with their rows.",
            value=checked.checked_at.timestamp(),
        )


def _is_near(request: Request) -> bool:
    address = client_ip(request)
    return address is not None and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network)
        for network in settings.METRICS_NETWORKS
    )


def _has_token(request: Request) -> bool:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return (
        bool(settings.METRICS_TOKEN)
        and scheme.lower() == "bearer"
        and constant_time_compare(token, settings.METRICS_TOKEN)
    )
