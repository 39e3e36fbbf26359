"""A Valkey of a test's own, to be stopped, killed and filled."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from movieshelf.embedded import services


class OwnValkey:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(str(services.valkey.program), "--port", "0", "--unixsocket", str(self.socket)),
                *("--save", "", "--dir", str(self.socket.parent), *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        until(self.socket.is_socket)

    def send(self, number: signal.Signals) -> None:
        assert self.process
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()
            self.socket.unlink()

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)


@contextmanager
def own_valkey() -> Iterator[OwnValkey]:
    """Give one that is not started yet, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    server = OwnValkey(folder)
    yield server
    if server.process and server.process.poll() is None:
        server.send(signal.SIGCONT)
        server.send(signal.SIGKILL)
    shutil.rmtree(folder)


def until(is_so: Callable[[], object], seconds: float = 10) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
