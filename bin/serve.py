"""Serve MovieShelf for development (`make run`), or end what serves it (`make stop`).

    .venv/bin/python bin/serve.py [stop]

A pid may have gone to another program by the time it is read, and workers outlive a server that was
killed. So what is to be ended is found by a mark in its environment. `.data/run/web-PORT.pid` tells
a person the pid, and is locked as long as its server lives.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no type hints

HOST = "127.0.0.1"
# Relative: main() goes to the root of the clone.
PID_FILES = Path(".data/run")
# Carries the root of the clone, in the environment of a server and of its workers.
MARKER = "MOVIESHELF_SERVER_OF"
# Longer than movieshelf.serving lets requests finish.
STOP_SECONDS = 35.0


def main(action: str) -> None:
    os.chdir(Path(__file__).resolve().parent.parent)
    if action == "stop":
        stop()
    else:
        PID_FILES.mkdir(parents=True, exist_ok=True)
        serve(number("PORT", 1, 65_535, default=8000), number("WORKERS", 1, 64, default=2))


def serve(port: int, workers: int) -> None:
    pid_file = take_pid_file(port)
    refuse_taken(port)
    prepare()
    refuse_taken(port)
    print(f"API    http://{HOST}:{port}/movies")
    print(f"Docs   http://{HOST}:{port}/docs        demo@movieshelf.example / demo-shelf-2026")
    print(f"Admin  http://{HOST}:{port}/admin/      admin@movieshelf.example / admin-shelf-2026")
    print("Ctrl-C ends the server; the database and the cache go on until `make stop`.", flush=True)
    # The server takes over this very process, and with it the lock and the pid.
    os.set_inheritable(pid_file, True)
    os.environ |= {MARKER: str(Path.cwd()), "WEB_PROCESSES": str(workers)}
    # Nobody balances between us and another.
    os.environ.setdefault("DRAIN_SECONDS", "0")
    # The background work goes on beside it, and ends with it.
    subprocess.Popen([sys.executable, "manage.py", "worker", "--with-parent"])
    server = ["-m", "movieshelf.serving", "--host", HOST, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *server])


def prepare() -> None:
    """Start the services, bring the database up to date and fill an empty shelf, one at a time."""
    with Path(".data/setup.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["services", "start"], ["migrate", "--verbosity", "0"], ["seed"]):
            result = subprocess.run([sys.executable, "manage.py", *command], check=False)
            if result.returncode:
                sys.exit(f"`manage.py {' '.join(command)}` failed.")


def take_pid_file(port: int) -> int:
    """Lock the pid file of a port and write our pid into it; the lock lasts as long as we do."""
    path = PID_FILES / f"web-{port}.pid"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Port {port} is already served by this clone; `make stop` ends that.")
    os.ftruncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return file


def refuse_taken(port: int) -> None:
    # Granian shares a port with whoever allows it, so it would not notice.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            sys.exit(f"Port {port} is not free ({error.strerror}); try `make run PORT={port + 1}`.")


def stop() -> None:
    """End every server of this clone: politely, then, after a while, by force."""
    found = servers()
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        pids = {process.pid for process in found}
        for process in found:
            with suppress(psutil.NoSuchProcess):
                # A server ends its workers; those that lost theirs end alone.
                if process.ppid() not in pids or signal_number == signal.SIGKILL:
                    process.send_signal(signal_number)
        deadline = time.monotonic() + STOP_SECONDS
        while remaining := servers():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not remaining:
            break
        found = remaining
    else:
        sys.exit(f"The server does not end: processes {sorted(p.pid for p in remaining)}.")
    for path in PID_FILES.glob("web-*.pid"):
        path.unlink()
    print("Stopped the server." if found else "No server was running.")


def servers() -> list[psutil.Process]:
    """List the processes that this script of this clone became, and their workers."""
    marker = str(Path.cwd())
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARKER) == marker:
                found.append(process)
    return found


def number(name: str, least: int, most: int, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        sys.exit(f"{name} must be a number from {least} to {most}, not {text!r}.")
    return int(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "serve")
