"""Many clients at once, each with one connection: what each answer was, and how long it took.

wrk tells neither the times of some answers only nor how many there were of each status. This does,
and takes some 30 microseconds of a core a request for it. It runs as a program of its own, so that
whoever starts it can watch the server meanwhile.

    python benchmarks/crowd.py '{"host": …}' < requests      prints what `Crowd` holds, as JSON
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from typing import Any
from urllib.parse import urlsplit

BROKEN = "broken"
HEAD_END = b"\r\n\r\n"
# Stands in no request.
BETWEEN = b"\0"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


@dataclass
class Crowd:
    """Answers by status, and the milliseconds of those that were 2xx."""

    statuses: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    seconds: float = 0

    @property
    def good(self) -> int:
        return sum(number for status, number in self.statuses.items() if status.startswith("2"))

    @property
    def others(self) -> dict[str, int]:
        """Give what was neither 2xx nor 503."""
        return {
            status: number
            for status, number in self.statuses.items()
            if not status.startswith("2") and status != "503"
        }


def ask(base: str, requests: Sequence[bytes], **how: Any) -> "subprocess.Popen[bytes]":
    """Start a crowd: `connections`, `seconds`, `pause` between two requests of one, `patient`."""
    address = urlsplit(base)
    process = subprocess.Popen(
        [
            *(sys.executable, __file__),
            json.dumps({"host": address.hostname, "port": address.port, **how}),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(BETWEEN.join(requests))
    process.stdin.close()
    return process


def result(process: "subprocess.Popen[bytes]") -> Crowd:
    assert process.stdout is not None
    told = process.stdout.read()
    if process.wait():
        sys.exit("The crowd broke up; what it said stands above.")
    return Crowd(**json.loads(told))


class Client:
    """One connection that stays open as long as the server keeps it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.socket: socket.socket | None = None
        self.began = 0.0
        self.received = b""

    def send(self, request: bytes) -> bool:
        """Send, on a new connection where there is none. Give whether that went well."""
        self.received, self.began = b"", time.perf_counter()
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self.address, timeout=10)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(request)
        except OSError:
            return False
        return True

    def receive(self) -> bool | None:
        """Read what is there: True at the answer's end, None where the connection broke."""
        assert self.socket is not None
        try:
            part = self.socket.recv(262_144)
        except OSError:
            return None
        if not part:
            return None
        self.received += part
        head = self.received.find(HEAD_END)
        if head < 0:
            return False
        length = LENGTH.search(self.received, 0, head)
        return len(self.received) >= head + len(HEAD_END) + int(length[1] if length else 0)


class Meeting:
    """All clients of a crowd, in one thread."""

    def __init__(self, requests: list[bytes], how: dict[str, Any]) -> None:
        self.requests = requests
        self.turn = 0
        self.pause: float = how.get("pause", 0)
        self.is_patient: bool = how.get("patient", False)
        self.seconds: float = how["seconds"]
        self.statuses: Counter[str] = Counter()
        self.times: list[float] = []
        self.selector = selectors.DefaultSelector()
        # Who is to ask when; a number apart, since clients have no order.
        self.waiting: list[tuple[float, int, Client]] = []
        for number in range(how["connections"]):
            heappush(self.waiting, (0, number, Client((how["host"], how["port"]))))
        self.number = how["connections"]

    def take_place(self) -> Crowd:
        started = time.perf_counter()
        while (now := time.perf_counter()) < started + self.seconds:
            while self.waiting and self.waiting[0][0] <= now:
                self.let_ask(heappop(self.waiting)[2])
            wait = min(0.05, max(0, self.waiting[0][0] - now)) if self.waiting else 0.05
            for key, _ in self.selector.select(wait):
                self.let_read(key.data)
        return Crowd(dict(self.statuses), self.times, time.perf_counter() - started)

    def let_ask(self, client: Client) -> None:
        was_open = client.socket
        request = self.requests[self.turn % len(self.requests)]
        self.turn += 1
        if not client.send(request):
            self.break_off(client)
        elif client.socket is not was_open:
            assert client.socket is not None
            self.selector.register(client.socket, selectors.EVENT_READ, client)

    def let_read(self, client: Client) -> None:
        is_whole = client.receive()
        if is_whole is None:
            self.break_off(client)
        elif is_whole:
            self.note(client)

    def note(self, client: Client) -> None:
        status = client.received[9:12].decode("ascii", "replace")
        self.statuses[status] += 1
        if status.startswith("2"):
            self.times.append((time.perf_counter() - client.began) * 1000)
        if CLOSES.search(client.received, 0, client.received.find(HEAD_END)):
            self.close(client)
        told = RETRY_AFTER.search(client.received) if self.is_patient else None
        self.call_again(client, float(told[1]) if told else self.pause)

    def break_off(self, client: Client) -> None:
        self.statuses[BROKEN] += 1
        self.close(client)
        self.call_again(client, max(self.pause, 0.05))

    def close(self, client: Client) -> None:
        if client.socket is not None:
            if client.socket in self.selector.get_map():
                self.selector.unregister(client.socket)
            client.socket.close()
            client.socket = None

    def call_again(self, client: Client, seconds: float) -> None:
        self.number += 1
        heappush(self.waiting, (time.perf_counter() + seconds, self.number, client))


if __name__ == "__main__":
    meeting = Meeting(sys.stdin.buffer.read().split(BETWEEN), json.loads(sys.argv[1]))
    print(json.dumps(asdict(meeting.take_place())))
