"""What /metrics shows, and to whom."""

import pytest
from django.db import connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from movieshelf.models import NumbersCheck
from movieshelf.queue import queue_state
from movieshelf.scraping import forget_dead
from movieshelf.wsgi import application  # noqa: F401  # what serves counts

TOKEN = "a-token-for-whoever-scrapes-0123456789"


@pytest.fixture
def scrape(api, settings):
    """Read every sample, as {name: {labels: value}}."""
    settings.METRICS_TOKEN = TOKEN

    def read() -> dict[str, dict[tuple[str, ...], float]]:
        response = api.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
        assert response.status_code == 200
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(response.content.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found

    return read


@pytest.mark.django_db
def test_it_is_prometheus_text_that_nobody_keeps(api, settings):
    settings.METRICS_TOKEN = TOKEN
    accept = (
        "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    )

    response = api.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}", HTTP_ACCEPT=accept)

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}"])
@pytest.mark.django_db
def test_it_is_closed_to_the_world(api, settings, given):
    settings.METRICS_TOKEN = TOKEN
    headers = {} if given is None else {"HTTP_AUTHORIZATION": given.format(token=TOKEN)}

    response = api.get("/metrics", **headers)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "auth_failed"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["Bearer ", "Bearer"])
@pytest.mark.django_db
def test_without_a_token_none_is_right(api, settings, given):
    assert settings.METRICS_TOKEN == ""

    assert api.get("/metrics", HTTP_AUTHORIZATION=given).status_code == 401


@pytest.mark.django_db
def test_an_access_token_neither_opens_nor_closes_it(api, settings, admin):
    assert api.as_(admin).get("/metrics").status_code == 401

    settings.METRICS_NETWORKS = ["127.0.0.0/8"]

    assert api.as_(admin).get("/metrics").status_code == 200
    assert api.get("/metrics", HTTP_AUTHORIZATION="Bearer expired").status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "status"),
    [
        ("10.1.2.3", None, 0, 200),
        ("192.0.2.1", None, 0, 401),
        ("192.0.2.1", "10.1.2.3", 0, 401),
        ("10.9.9.9", "192.0.2.1", 1, 401),
        ("10.9.9.9", "10.1.2.3, 192.0.2.1", 1, 401),
        ("192.0.2.9", "192.0.2.1, 10.1.2.3", 1, 200),
        ("2001:db8::1", None, 0, 200),
    ],
)
@pytest.mark.django_db
def test_a_network_is_that_of_the_client(api, settings, peer, forwarded, proxies, status):
    settings.METRICS_NETWORKS = ["10.0.0.0/8", "2001:db8::/32"]
    settings.TRUSTED_PROXIES = proxies
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}

    assert api.get("/metrics", REMOTE_ADDR=peer, **headers).status_code == status


@pytest.mark.django_db
def test_who_hits_a_ceiling_is_counted(api, settings, scrape):
    settings.RATELIMIT_ENABLE = True
    settings.RATELIMIT_LOGIN_IP = "1/m"
    before = scrape().get("movieshelf_ceilings_hit_total", {}).get(("login-ip",), 0)

    for _ in range(3):
        api.post("/auth/login", {"email": "ada@example.com", "password": "not the password"})

    assert scrape()["movieshelf_ceilings_hit_total"][("login-ip",)] == before + 2


@pytest.mark.django_db
def test_the_background_work_is_told_of(scrape):
    assert scrape()["movieshelf_oldest_job_seconds"] == {(): 0}

    insert_job("todo", ago="90 seconds")
    insert_job("todo", ago="1 hour", scheduled="10 minutes")
    insert_job("failed", ago="1 hour")

    found = scrape()
    assert found["movieshelf_database_up"] == {(): 1}
    assert found["movieshelf_jobs"] == {
        ("waiting",): 1,
        ("scheduled",): 1,
        ("running",): 0,
        ("failed",): 1,
    }
    assert found["movieshelf_oldest_job_seconds"] == {(): pytest.approx(90, abs=5)}


@pytest.mark.django_db
def test_the_drift_is_what_the_last_comparison_found(scrape):
    assert "movieshelf_drifted_numbers" not in scrape()

    NumbersCheck.objects.create(checked_at=timezone.now(), drifted_films=2, drifted_totals=1)

    found = scrape()
    assert found["movieshelf_drifted_numbers"] == {(): 3}
    assert found["movieshelf_numbers_checked_timestamp_seconds"][()] == pytest.approx(
        timezone.now().timestamp(), abs=60
    )


@pytest.mark.django_db
def test_a_job_that_is_tried_again_waits_from_when_it_was_due():
    insert_job("todo", ago="1 hour", scheduled="-5 seconds")

    with connection.cursor() as cursor:
        assert queue_state(cursor).oldest_seconds == pytest.approx(5, abs=2)


def insert_job(status: str, *, ago: str, scheduled: str | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at)"
            " VALUES ('default', 'test', %s::procrastinate_job_status, now() + %s::interval)"
            " RETURNING id",
            [status, scheduled],
        )
        [job] = cursor.fetchone()
        cursor.execute(
            "UPDATE procrastinate_events SET at = now() - %s::interval WHERE job_id = %s",
            [ago, job],
        )


def test_the_gauges_of_a_process_that_is_gone_are_dropped(tmp_path):
    gone, counted = tmp_path / "gauge_livesum_999999999.db", tmp_path / "counter_999999999.db"
    for path in (gone, counted):
        path.touch()

    forget_dead(tmp_path)

    assert not gone.exists()
    assert counted.exists()


@pytest.mark.django_db(databases=[])
def test_without_a_database_the_rest_is_shown(api, settings, monkeypatch):
    from django.db import OperationalError

    from movieshelf import scraping

    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(scraping, "_read", away)
    settings.METRICS_NETWORKS = ["127.0.0.0/8"]

    text = api.get("/metrics").content.decode()

    assert "movieshelf_database_up 0.0" in text
    assert "movieshelf_jobs" not in text
