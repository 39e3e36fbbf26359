"""What `bench.py` found: as a section of docs/performance.md, and as a picture."""

import os
import platform
import re
import statistics
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import crowd
import psutil
import psycopg
import redis
import wrk
from report import COLOURS, bar, picture, put_between, table, text
from shelves import ROOT, embedded_url

from movieshelf import embedded

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "bench.svg"
MARKER = "make bench"


@dataclass(frozen=True)
class Cell:
    """One endpoint of one target: microseconds of processor a request, and the rest of it."""

    told: wrk.Told
    server: float | None
    postgresql: float | None
    memory: float | None  # MiB, shared pages shared out among who has them
    others: float  # cores that something else used meanwhile

    @property
    def processor(self) -> float | None:
        if self.server is None or self.postgresql is None:
            return None
        return self.server + self.postgresql


@dataclass(frozen=True)
class Pressed:
    """A crowd at a target, and the milliseconds that `/healthz` took meanwhile."""

    label: str
    connections: int
    crowd: crowd.Crowd
    health: list[float]
    silent: int  # how often /healthz did not answer 200 in five seconds


@dataclass(frozen=True)
class Beside:
    """Reads by themselves, and while others log in and upload."""

    alone: crowd.Crowd
    beside: crowd.Crowd
    logins: Counter[int]
    uploads: Counter[int]


@dataclass(frozen=True)
class Run:
    """All of a run; the first target is this checkout, the second, if any, the baseline."""

    machine: str
    targets: list[str]
    cells: dict[tuple[str, str], list[Cell]]
    pressed: dict[str, list[Pressed]]
    beside: dict[str, Beside]
    drift: dict[str, str]
    seconds: int  # for each endpoint and target

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for kind, _ in self.cells))

    def a_second(self, kind: str, target: str) -> float:
        return statistics.mean(cell.told.a_second for cell in self.cells[kind, target])


def write(run: Run) -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put_between(page, MARKER, told(run)), encoding="utf-8")
    PLOT.write_text(plotted(run), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}.")


def about_machine() -> str:
    """Say where, when and with what this is measured."""
    with psycopg.connect(embedded_url("postgres")) as connection:
        postgresql = connection.execute("SHOW server_version").fetchone()
    with redis.Redis.from_url(embedded.valkey_url()) as client:
        valkey = client.info("server")["valkey_version"]
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    wrk_version = re.search(r"\d[\d.]*\d", told)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {commit()}. {os.cpu_count()} cores ({model()}),"
        f" {psutil.virtual_memory().total / 2**30:.0f} GB, {platform.system()}"
        f" {platform.release().partition('-')[0]}; Python {platform.python_version()}, Django"
        f" {version('django')}, granian {version('granian')}, PostgreSQL"
        f" {postgresql[0] if postgresql else '?'}, Valkey {valkey}, wrk"
        f" {wrk_version[0] if wrk_version else '?'}."
        f" Load average before: {os.getloadavg()[0]:.1f}."
    )


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "a copy without git"
    return f"commit {done.stdout.strip()}"


def model() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def quantile(times: Sequence[float], hundredths: int) -> float:
    """Give a quantile, 0 of nothing."""
    if len(times) < 2:
        return sum(times)
    return statistics.quantiles(times, n=100, method="inclusive")[hundredths - 1]


def mean(figures: Sequence[float | None], form: str = ",.0f") -> str:
    known = [figure for figure in figures if figure is not None]
    return format(statistics.mean(known), form) if known else "–"


# --- Words and tables ----------------------------------------------------------------------------


def told(run: Run) -> str:
    this, *others = run.targets
    machine = f"{run.machine} {run.seconds} s for each endpoint and server, after 1 s to warm up."
    parts = [machine, "![Requests a second, and answers when it is too much](images/bench.svg)"]
    if others:
        parts += [
            "The baseline was timed in the same run, alternately. A ratio over 1 is in favour of"
            " this checkout; in brackets, that of each round. Processor time (server and"
            " PostgreSQL, this / baseline) says more where others use the machine.",
            compared(run),
        ]
    parts.append(costs(run, this))
    parts += [f"The same of the {other}:\n\n{costs(run, other)}" for other in others]
    parts += [
        "Too much at once, seven reads to three writes. A patient client waits as `Retry-After`"
        " says, all others ask again at once; times are those of the 2xx, in milliseconds.",
        under_pressure(run),
        "`GET /movies` by four clients, 20 ms between two requests, by themselves and while 16"
        " log in (argon2) and 8 upload 12 megapixels, each again and again:",
        beside_others(run),
        *(
            f"After all writes, `manage.py recompute --check` ({name}): {said}"
            for name, said in run.drift.items()
            if said
        ),
    ]
    return "\n\n".join(parts)


def compared(run: Run) -> str:
    this, baseline = run.targets
    rows = []
    for kind in run.kinds:
        mine, theirs = run.cells[kind, this], run.cells[kind, baseline]
        rounds = ", ".join(
            f"{one.told.a_second / other.told.a_second:.2f}"
            for one, other in zip(mine, theirs, strict=True)
        )
        ratio = run.a_second(kind, this) / run.a_second(kind, baseline)
        figures = (f"{run.a_second(kind, target):,.0f}" for target in run.targets)
        used = " / ".join(mean([cell.processor for cell in cells]) for cells in (mine, theirs))
        rows.append([kind, *figures, f"**{ratio:.2f}×** ({rounds})", used])
    return table(["requests a second", this, baseline, "ratio", "processor, µs a request"], rows)


def costs(run: Run, target: str) -> str:
    rows = []
    for kind in run.kinds:
        cells = run.cells[kind, target]
        rows.append(
            [
                kind,
                f"{run.a_second(kind, target):,.0f}",
                mean([cell.told.p50 for cell in cells], ".1f"),
                mean([cell.told.p99 for cell in cells], ".1f"),
                f"{sum(cell.told.errors for cell in cells)}",
                mean([cell.server for cell in cells]),
                mean([cell.postgresql for cell in cells]),
                mean([cell.memory for cell in cells]),
                mean([cell.others for cell in cells], ".2f"),
            ]
        )
    head = (
        "requests/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "server µs",
        "PostgreSQL µs",
        "memory (PSS) MB",
    )
    return table(["", *head, "others, cores"], rows)


def under_pressure(run: Run) -> str:
    rows = []
    for name, found in run.pressed.items():
        for one in found:
            met = one.crowd
            others = ", ".join(f"{status}: {n}" for status, n in sorted(met.others.items()))
            silent = f", {one.silent} times none" if one.silent else ""
            rows.append(
                [
                    *([name] if len(run.targets) > 1 else []),
                    f"{one.label} ({one.connections})",
                    f"{met.good / met.seconds:,.0f}",
                    f"{met.statuses.get('503', 0) / met.seconds:,.0f}",
                    others or "0",
                    f"{quantile(met.times, 50):.0f} / {quantile(met.times, 99):.0f}",
                    f"{quantile(one.health, 50):.0f} / {max(one.health, default=0):.0f}{silent}",
                ]
            )
    return table(
        [
            *(["server"] if len(run.targets) > 1 else []),
            *("clients", "2xx a second", "503 a second", "others in all", "p50 / p99"),
            "`/healthz`: p50 / longest",
        ],
        rows,
    )


def beside_others(run: Run) -> str:
    rows = []
    for name, found in run.beside.items():
        rows.append(
            [
                *([name] if len(run.targets) > 1 else []),
                *(
                    " / ".join(f"{quantile(met.times, part):.0f}" for part in (50, 95, 99))
                    for met in (found.alone, found.beside)
                ),
                *(counted(statuses) for statuses in (found.logins, found.uploads)),
                ", ".join(f"{status}: {n}" for status, n in sorted(found.beside.statuses.items())),
            ]
        )
    return table(
        [
            *(["server"] if len(run.targets) > 1 else []),
            *("alone: p50 / p95 / p99 ms", "beside them", "logins", "uploads", "reads beside"),
        ],
        rows,
    )


def counted(statuses: Counter[int]) -> str:
    return ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))


# --- The picture ---------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, LINE = 860, 170, 90, 15
GOOD, BUSY, BAD = COLOURS[2], "#bbbbbb", COLOURS[1]


def plotted(run: Run) -> str:
    """Draw requests a second as bars, and below them what a crowd is answered."""
    parts = [text(LEFT, 20, "requests a second, 32 connections")]
    at: float = 32
    longest = max(run.a_second(kind, target) for kind, target in run.cells)
    for kind in run.kinds:
        parts.append(text(LEFT - 8, at + 11, kind.replace("`", ""), anchor="end"))
        for target, colour in zip(run.targets, COLOURS, strict=False):
            figure = run.a_second(kind, target)
            wide = (WIDTH - LEFT - RIGHT) * figure / longest
            parts.append(bar(LEFT, at, wide, LINE - 2, colour))
            parts.append(text(LEFT + wide + 6, at + 11, f"{figure:,.0f}", colour))
            at += LINE
        at += 5
    if len(run.targets) > 1:
        for place, (target, colour) in enumerate(zip(run.targets, COLOURS, strict=False)):
            parts.append(text(WIDTH - RIGHT - 150 + 80 * place, 20, target, colour))
    at += 30
    parts.append(text(LEFT, at - 10, "answers a second, reads and writes, when it is too much:"))
    for place, (said, colour) in enumerate((("2xx", GOOD), ("503", "#777777"), ("others", BAD))):
        parts.append(text(LEFT + 370 + 45 * place, at - 10, said, colour))
    met = [(name, one) for name, found in run.pressed.items() for one in found]
    longest = max(sum(one.crowd.statuses.values()) / one.crowd.seconds for _, one in met)
    for name, one in met:
        whose = f"{name}, " if len(run.targets) > 1 else ""
        parts.append(text(LEFT - 8, at + 11, f"{whose}{one.label}", anchor="end"))
        numbers = (
            (one.crowd.good, GOOD),
            (one.crowd.statuses.get("503", 0), BUSY),
            (sum(one.crowd.others.values()), BAD),
        )
        x: float = LEFT
        for number, colour in numbers:
            wide = (WIDTH - LEFT - RIGHT) * number / one.crowd.seconds / longest
            parts.append(bar(x, at, wide, LINE - 2, colour))
            x += wide
        said = " + ".join(f"{n / one.crowd.seconds:,.0f}" for n, _ in numbers if n)
        parts.append(text(x + 6, at + 11, said))
        at += LINE + 5
    return picture(WIDTH, at + 10, parts)
