"""Requests a second, times and costs of every endpoint, and what happens when it is too much.

    make bench                                      # about two minutes
    make bench BASELINE=../an-older-checkout        # beside another, alternately: under five
    make bench BASELINE=http://127.0.0.1:8150       # or beside any server of this API
    make bench ARGS="--only rating"                 # what has that word in its name; writes nothing

Serves this checkout as production does, on a shelf of 10,000 films that stays in the embedded
PostgreSQL for the next time (database `bench`; whatever members of a run did goes with them). A
baseline that is a folder, set up by its `make run` before, is served the same way from a database
of its own. One that is an address must have the same shelf (SEED in targets.py), and ceilings that
let 16 members write thousands of times a minute.

Writes the section of `make bench` in docs/performance.md, and docs/images/bench.svg. Needs wrk.
"""

import argparse
import fcntl
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass

import crowd
import psutil
import wrk
from bench_page import Beside, Cell, Pressed, Run, about_machine, quantile, write
from kinds import KINDS, Requests
from media_load import photo_of_12_megapixels
from shelves import ROOT
from targets import Target, baseline, checkout

from movieshelf import embedded

CONNECTIONS = 32
CROWDS = (
    ("1×", 32, False),
    ("2×", 64, False),
    ("10×", 320, False),
    ("10×, patient", 320, True),
)
LOGINS, UPLOADS, READERS = 16, 8, 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--baseline", default="", metavar="FOLDER|URL")
    parser.add_argument("--seconds", type=int, default=4, help="for each kind and server (4)")
    parser.add_argument("--only", default="", metavar="WORD", help="kinds with it in their name")
    asked = parser.parse_args()
    kinds = [kind for kind in KINDS if asked.only in kind]
    if not kinds:
        sys.exit(f"Nothing is called {asked.only!r}; there is {', '.join(KINDS)}.")
    wrk.must_be_there()
    # So that what was started is ended, also when `timeout` ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    embedded.services.start()
    with ExitStack() as stack:
        stack.enter_context(alone())
        targets = [stack.enter_context(checkout("this", ROOT, valkey_db=13))]
        if asked.baseline:
            targets.append(stack.enter_context(baseline(asked.baseline)))
        for target in targets:
            target.look_around()
            stack.enter_context(target.joined())
        machine = about_machine()
        cells = measure(targets, kinds, asked.seconds)
        if asked.only:
            return
        pressed = {
            target.name: [press(target, *how, asked.seconds) for how in CROWDS]
            for target in targets
        }
        beside = {target.name: read_beside(target, asked.seconds) for target in targets}
        drift = {target.name: drift_of(target) for target in targets}
    names = [target.name for target in targets]
    write(Run(machine, names, cells, pressed, beside, drift, asked.seconds))
    print(f"{time.monotonic() - started:.0f} s in all.")


@contextmanager
def alone() -> Iterator[None]:
    """Keep a second run out, which would take the same members away in its end."""
    with (ROOT / ".data" / "bench.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("A benchmark of this checkout is running already.")
        yield


# --- One endpoint after the other ----------------------------------------------------------------


def measure(
    targets: list[Target], kinds: Sequence[str], seconds: int
) -> dict[tuple[str, str], list[Cell]]:
    """Time all targets on one kind before the next, in an order that turns each round."""
    rounds = 2 if len(targets) > 1 else 1
    cells: dict[tuple[str, str], list[Cell]] = {}
    for kind in kinds:
        make, wanted = KINDS[kind]
        requests = {target.name: make(Requests(target)) for target in targets}
        for target in targets:
            for request in requests[target.name][:3]:
                if (status := target.status_of(request)) != wanted:
                    sys.exit(f"{target.name}: {kind} is answered {status}, not {wanted}.")
            wrk.ask(target.base, requests[target.name], seconds=1, connections=CONNECTIONS)
        for turn in range(rounds):
            for target in targets[:: -1 if turn % 2 else 1]:
                cell = time_one(target, targets, requests[target.name], seconds // rounds or 1)
                cells.setdefault((kind, target.name), []).append(cell)
                print(progress(kind, target, cell), flush=True)
    return cells


def time_one(target: Target, targets: list[Target], requests: list[bytes], seconds: int) -> Cell:
    target.empty_log()
    before = Spent.until_now(target, targets)
    told = wrk.ask(target.base, requests, seconds=seconds, connections=CONNECTIONS)
    spent = Spent.until_now(target, targets).since(before)

    def each(processor: float) -> float:
        return processor / told.requests * 1e6

    return Cell(
        told,
        server=each(spent.server) if target.server else None,
        postgresql=each(spent.postgresql) if target.manage else None,
        memory=memory_of(target.server_processes()) if target.server else None,
        others=max(0, spent.machine - spent.known) / spent.clock,
    )


@dataclass(frozen=True)
class Spent:
    """Seconds of processor time."""

    clock: float
    server: float
    postgresql: float
    known: float  # of all that belongs to this run
    machine: float

    @classmethod
    def until_now(cls, target: Target, targets: list[Target]) -> "Spent":
        postgresql = processor(embedded.services.postgres.processes())
        ours = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        whole = psutil.cpu_times()
        return cls(
            clock=time.monotonic(),
            server=processor(target.server_processes()),
            postgresql=postgresql,
            known=postgresql
            + processor(embedded.services.valkey.processes())
            + sum(processor([*one.server_processes(), *one.worker_processes()]) for one in targets)
            + sum(usage.ru_utime + usage.ru_stime for usage in ours),
            # Linux counts the time of guests in that of users, and macOS has no such fields.
            machine=sum(
                getattr(whole, name, 0.0)
                for name in ("user", "nice", "system", "irq", "softirq", "steal")
            ),
        )

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            *(now - then for now, then in zip(astuple(self), astuple(before), strict=True))
        )


def processor(processes: list[psutil.Process]) -> float:
    """Add up what processes and their children that are over have used."""
    whole = 0.0
    for process in processes:
        with suppress(psutil.Error):
            whole += sum(process.cpu_times()[:4])
    return whole


def memory_of(processes: list[psutil.Process]) -> float:
    whole = 0
    for process in processes:
        with suppress(psutil.Error):
            found = process.memory_full_info()
            whole += getattr(found, "pss", found.uss)
    return whole / 2**20


def progress(kind: str, target: Target, cell: Cell) -> str:
    told = cell.told
    costs = "".join(
        f", {name} {figure:.0f}{unit}"
        for name, figure, unit in (
            ("server", cell.server, " µs"),
            ("PostgreSQL", cell.postgresql, " µs"),
            ("memory", cell.memory, " MB"),
        )
        if figure is not None
    )
    return (
        f"{kind:24} {target.name:9} {told.a_second:7,.0f}/s, p50 {told.p50:.1f} ms,"
        f" p99 {told.p99:.1f} ms, {told.errors} errors{costs}, others {cell.others:.2f} cores"
    )


# --- Too much at once ----------------------------------------------------------------------------


def press(target: Target, label: str, connections: int, patient: bool, seconds: int) -> Pressed:
    """Let more ask than are served at once, reads and writes mixed; watch `/healthz`."""
    target.empty_log()
    requests = Requests(target).of_all_kinds()
    running = crowd.ask(
        target.base, requests, connections=connections, seconds=seconds, patient=patient
    )
    with ThreadPoolExecutor(64) as pool:
        met = pool.submit(crowd.result, running)
        asked = []
        while not met.done():
            asked.append(pool.submit(time_health, target))
            time.sleep(0.1)
        health = [future.result() for future in asked]
    found = Pressed(
        label,
        connections,
        met.result(),
        health=[took for took in health if took is not None],
        silent=health.count(None),
    )
    print(
        f"{label:13} {target.name:9} {dict(sorted(found.crowd.statuses.items()))}, /healthz at most"
        f" {max(found.health, default=0):.0f} ms, {found.silent} times none",
        flush=True,
    )
    return found


def time_health(target: Target) -> float | None:
    """Ask on a new connection, as whoever watches a server does."""
    began = time.perf_counter()
    with suppress(OSError):
        if target.call("GET", "/healthz", timeout=5)[0] == 200:
            return (time.perf_counter() - began) * 1000
    return None


def read_beside(target: Target, seconds: int) -> Beside:
    """Read a list at leisure: alone, and while 16 log in and 8 upload, again and again."""
    target.empty_log()
    photo = photo_of_12_megapixels()
    request = Requests(target).first_page()
    how = {"connections": READERS, "pause": 0.02}
    alone = crowd.result(crowd.ask(target.base, request, seconds=seconds, **how))
    over = threading.Event()
    logins: Counter[int] = Counter()
    uploads: Counter[int] = Counter()

    def again(counted: Counter[int], act: Callable[[], int]) -> None:
        while not over.is_set():
            counted[act()] += 1

    everybody = target.members
    with ThreadPoolExecutor(LOGINS + UPLOADS) as pool:
        running = [
            *(pool.submit(again, logins, lambda m=m: target.log_in(m)) for m in everybody[:LOGINS]),
            *(
                pool.submit(again, uploads, lambda m=m: target.upload(m, photo))
                for m in everybody[:UPLOADS]
            ),
        ]
        # Everybody is at it.
        time.sleep(0.5)
        beside = crowd.result(crowd.ask(target.base, request, seconds=2 * seconds, **how))
        over.set()
        for future in running:
            future.result()
    # It would go on making images smaller, beside who is measured next. They go with the members.
    target.end_worker()
    print(
        f"reads beside  {target.name:9} p95 {quantile(alone.times, 95):.0f} ms alone,"
        f" {quantile(beside.times, 95):.0f} ms beside logins {dict(logins)} and uploads"
        f" {dict(uploads)}",
        flush=True,
    )
    return Beside(alone, beside, logins, uploads)


def drift_of(target: Target) -> str:
    """Compare the numbers of all films with their rows, after all that was written."""
    if target.manage is None:
        return ""
    return target.manage("recompute", "--check").strip().splitlines()[-1]


if __name__ == "__main__":
    main()
