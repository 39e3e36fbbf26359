"""The embedded servers for real, in a folder of their own: never those of the checkout."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from typing import LiteralString

import psycopg
import pytest
import redis
from django.core.management import CommandError, call_command
from django_redis.cache import RedisCache

from movieshelf import embedded
from movieshelf.embedded import EmbeddedServices, ServiceError


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """Services of a clone at a long path with a space, where a socket would not fit."""
    root = tmp_path_factory.mktemp("shelf") / ("a long path" * 12)
    root.mkdir()
    services = EmbeddedServices(root)
    yield services
    services.stop()


def sql(services: EmbeddedServices, statement: LiteralString) -> list[tuple[object, ...]]:
    with psycopg.connect(
        host=str(services.run_dir), user=embedded.SUPERUSER, dbname=embedded.DATABASE
    ) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def server_pids(services: EmbeddedServices) -> list[int | None]:
    return [status.pid for status in services.status()]


def kill_everything(services: EmbeddedServices) -> None:
    for process in [process for service in services.all for process in service.processes()]:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def test_starting_makes_both_answer(services):
    found = services.start()

    assert [status.title for status in found] == ["PostgreSQL", "Valkey"]
    assert all(status.answers for status in found)


def test_the_database_has_the_locale_that_production_has(services):
    services.start()

    assert sql(
        services,
        "SELECT datlocprovider::text, datlocale, pg_encoding_to_char(encoding)"
        " FROM pg_database WHERE datname = 'movieshelf'",
    ) == [("b", "C.UTF-8", "UTF8")]
    assert sql(services, "SHOW fsync") == [("on",)]


def test_nothing_listens_on_the_network(services):
    services.start()

    assert sql(services, "SHOW listen_addresses") == [("",)]
    with redis.Redis.from_url(services.valkey.address) as client:
        assert client.config_get("port") == {"port": "0"}


def test_nobody_else_may_enter_the_folder_of_the_sockets(services):
    services.start()

    assert services.run_dir.stat().st_mode & 0o777 == 0o700


def test_starting_again_reuses_what_runs(services):
    services.start()
    before = server_pids(services)

    services.start()

    assert server_pids(services) == before
    assert None not in before


def test_two_processes_may_start_at_once(services):
    services.stop()
    code = (
        "import sys; from pathlib import Path; from movieshelf.embedded import EmbeddedServices;"
        "print([s.pid for s in EmbeddedServices(Path(sys.argv[1])).start()])"
    )
    command = [sys.executable, "-c", code, str(services.home.parent)]

    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [starter.communicate(timeout=60)[0] for starter in starters]

    assert [starter.returncode for starter in starters] == [0, 0]
    assert said[0] == said[1] != ""


def test_committed_rows_survive_a_kill_of_everything(services):
    services.start()
    sql(services, "CREATE TABLE survivors AS SELECT 7 AS id")

    kill_everything(services)
    services.start()

    assert sql(services, "SELECT id FROM survivors") == [(7,)]


def test_a_stale_pid_that_another_program_got_meanwhile_does_not_hinder(services):
    services.start()
    lock_file = services.postgres.data / "postmaster.pid"
    kill_everything(services)
    lines = lock_file.read_text().splitlines(keepends=True)
    bystander = subprocess.Popen(["sleep", "60"])
    lock_file.write_text("".join([f"{bystander.pid}\n", *lines[1:]]))

    found = services.start()

    assert all(status.answers for status in found)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_killed_cache_comes_back_beside_the_running_database(services):
    services.start()
    database, cache = server_pids(services)
    os.kill(cache, signal.SIGKILL)

    services.start()

    assert server_pids(services)[0] == database
    assert server_pids(services)[1] not in {cache, None}


def test_a_server_whose_socket_was_removed_is_replaced(services):
    services.start()
    before = server_pids(services)
    for service in services.all:
        service.sockets[0].unlink()

    found = services.start()

    assert all(status.answers for status in found)
    assert not set(server_pids(services)) & set(before)


def test_the_cache_never_drops_a_key_without_expiry(services):
    services.start()

    with redis.Redis.from_url(services.valkey.address) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lfu"}


def test_the_address_of_the_cache_is_one_that_django_redis_takes(services):
    services.start()
    cache = RedisCache(services.valkey.url(3), {})

    cache.set("film", "Ikiru")

    with redis.Redis.from_url(services.valkey.url(3)) as client:
        assert client.dbsize() == 1


def test_stopping_leaves_no_process_and_no_socket(services):
    services.start()

    stopped = services.stop()

    assert stopped == ["Valkey", "PostgreSQL"]
    assert [service.processes() for service in services.all] == [[], []]
    assert not services.run_dir.exists()
    assert services.stop() == []


def test_a_cluster_that_is_not_whole_is_put_aside_and_made_anew(services):
    services.start()
    services.stop()
    (services.postgres.data / "PG_VERSION").unlink()

    services.start()

    assert sql(services, "SELECT to_regclass('survivors')") == [(None,)]
    assert len(list(services.home.glob("postgres.broken-*"))) == 1


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    services = EmbeddedServices(tmp_path)
    services.run_dir.symlink_to(tmp_path)

    with pytest.raises(ServiceError, match="not a folder of ours"):
        services.start()

    services.run_dir.unlink()
    assert server_pids(services) == [None, None]


def test_asking_for_addresses_starts_nothing(tmp_path):
    services = EmbeddedServices(tmp_path)

    assert len(os.fsencode(services.postgres.sockets[0])) < 107
    assert services.valkey.url(2) == f"unix://{services.run_dir}/valkey.sock?db=2"
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_did_and_fails_when_not_both_run(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "services", EmbeddedServices(tmp_path))
    said = StringIO()

    call_command("services", "stop", stdout=said)

    assert said.getvalue() == "Nothing was running.\n"
    with pytest.raises(CommandError, match="Not both run"):
        call_command("services", "status", stdout=said)
