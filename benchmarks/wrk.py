"""Ask a server the same things again and again by wrk, and read what wrk tells."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).with_name("replay.lua")


@dataclass(frozen=True)
class Told:
    """What came of some seconds: times are milliseconds, errors answers from 400 up and none."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def a_second(self) -> float:
        return self.requests / self.seconds


def must_be_there() -> None:
    if not shutil.which("wrk"):
        sys.exit("It needs wrk: apt-get install wrk (brew install wrk).")


def request(
    base: str, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
) -> bytes:
    """Write a request as it goes out, for wrk and for `crowd.py` alike."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(base).netloc}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    sent = body.encode()
    if sent:
        lines += ["Content-Type: application/json", f"Content-Length: {len(sent)}"]
    return "\r\n".join([*lines, "", ""]).encode() + sent


def ask(base: str, requests: Sequence[bytes], *, seconds: int, connections: int) -> Told:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(b"%d\n%b" % (len(one), one) for one in requests))
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
        done = subprocess.run(
            [*command, "-s", str(SCRIPT), base, "--", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    return read(done.stdout + done.stderr)


def read(output: str) -> Told:
    """Read what `replay.lua` printed. Raises SystemExit with all of it where that is missing."""
    found = re.search(r"^TOLD (\{.*\})$", output, re.MULTILINE)
    if not found:
        sys.exit(f"wrk did not come to its end:\n{output}")
    told = json.loads(found[1])
    if not told["requests"]:
        sys.exit(f"wrk got no answer at all:\n{output}")
    return Told(
        requests=told["requests"],
        seconds=told["microseconds"] / 1e6,
        p50=told["p50"] / 1000,
        p99=told["p99"] / 1000,
        errors=told["refused"] + told["broken"],
    )
