"""nginx as it stands in front of the API in production, and the API behind it, on ports of ours."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

HOST = "127.0.0.1"
CONFIGURATION = Path(settings.BASE_DIR) / "deploy" / "nginx"
PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

MAIN = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    include http.conf;
    access_log {folder}/access.log movieshelf;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    proxy_cache_path {folder}/media levels=1:2 keys_zone=movieshelf_media:1m use_temp_path=off;
    upstream movieshelf_api {{ server {host}:{upstream}; keepalive 32; }}
    {extra}
    server {{ listen {host}:{port} default_server backlog=1024; include server.conf; }}
}}
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def start_nginx(
    folder: Path, upstream: int, extra: str = "", shorter: Mapping[str, str] = {}
) -> "tuple[subprocess.Popen[bytes], int]":
    """Start nginx with the configuration of deploy/nginx; give the process and its port.

    `shorter` has time limits of http.conf, and what stands in their place.
    """
    for path in CONFIGURATION.glob("*.conf"):
        shutil.copy(path, folder)
    http = (folder / "http.conf").read_text()
    for limit, instead in shorter.items():
        assert limit in http
        http = http.replace(limit, instead)
    (folder / "http.conf").write_text(http)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    main = MAIN.format(
        folder=folder, host=HOST, port=port, upstream=upstream, user=user, extra=extra
    )
    (folder / "nginx.conf").write_text(main)
    process = subprocess.Popen(
        [str(PROGRAM), "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stderr=(folder / "start.log").open("w"),
        start_new_session=True,
    )
    wait_for(process, port)
    return process, port


def start_api(**environment: str) -> "tuple[subprocess.Popen[bytes], int]":
    """Start the server on the test database; give the process and its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "movieshelf.serving", "--host", HOST, "--port", str(port)],
        cwd=settings.BASE_DIR,
        env={**os.environ, **database_of_the_tests(), **environment},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(process, port)
    return process, port


def database_of_the_tests() -> Mapping[str, str]:
    found = connection.settings_dict
    address = f"postgresql://{found['USER']}@/{found['NAME']}?host={found['HOST']}"
    return {"ALLOWED_HOSTS": HOST, "DATABASE_URL": address, "TRUSTED_PROXIES": "1"}


def wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        assert process.poll() is None, f"{process.args} did not start"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
