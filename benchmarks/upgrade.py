"""Row 158: migrate forward and backward while an earlier release serves, and see what it costs.

    .venv/bin/python benchmarks/upgrade.py [REVISION]

The revision (by default the one before the last that brought a migration) is taken out of git into
a folder of its own. Its code makes a shelf and serves it, with the traffic of the fault drill; then
the code of this folder migrates the database under it, the old code goes on, and the database is
migrated back to where it was. Nothing is restarted, and nothing but 2xx and 4xx may be answered.
Prints a table like that of docs/faults.md. About a minute.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from faults import Drill, Fault
from shelves import ROOT, own_shelf, status_of

LONGEST_SECONDS = 1.0


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def take_out(revision: str, folder: Path) -> None:
    """Put the files of a revision into a folder."""
    packed = folder / "packed.tar"
    git("archive", f"--output={packed}", revision)
    subprocess.run(["tar", "-xf", str(packed), "-C", str(folder)], check=True)
    packed.unlink()


def migrations_of(code: Path) -> dict[str, str]:
    """Give the last migration of each app."""
    return {
        folder.parent.name: max(path.stem for path in folder.glob("[0-9]*.py"))
        for folder in code.glob("*/migrations")
    }


def forward(drill: Drill) -> list[str]:
    drill.shelf.code, old = ROOT, drill.shelf.code
    started = time.monotonic()
    drill.shelf.command("migrate", "--verbosity", "0")
    print(f"  migrated in {time.monotonic() - started:.1f} s", flush=True)
    drill.shelf.code = old
    return []


def go_on(drill: Drill) -> list[str]:
    time.sleep(8)
    status = status_of(drill.port, "/readyz")
    return [] if status == 200 else [f"/readyz of the old code answered {status}"]


def backward(drill: Drill) -> list[str]:
    before, after = migrations_of(drill.shelf.code), migrations_of(ROOT)
    drill.shelf.code, old = ROOT, drill.shelf.code
    started = time.monotonic()
    for app, last in after.items():
        if before.get(app) != last:
            drill.shelf.command("migrate", "--verbosity", "0", app, before.get(app, "zero"))
    print(f"  migrated back in {time.monotonic() - started:.1f} s", flush=True)
    drill.shelf.code = old
    return []


def main(revision: str) -> int:
    went_well = True
    with tempfile.TemporaryDirectory(prefix="movieshelf-old-") as name:
        old = Path(name)
        take_out(revision, old)
        before, after = migrations_of(old), migrations_of(ROOT)
        changed = [f"{app} to {last}" for app, last in after.items() if before.get(app) != last]
        print(f"{git('log', '-1', '--format=%h %s', revision)}; migrates {', '.join(changed)}")
        with own_shelf(old) as shelf:
            drill = Drill(shelf)
            print("| what | answers | longest | served again after | writes lost | drift |")
            print("|---|---|---|---|---|---|", flush=True)
            for fault in (
                Fault("nothing", lambda drill: time.sleep(4)),
                Fault("migrated forward", forward),
                Fault("the old code on the new schema", go_on),
                Fault("migrated backward", backward),
                Fault("the old code on its own schema again", go_on),
            ):
                outcome = drill.go(fault)
                print(outcome.row, flush=True)
                troubles = [*outcome.lost, *outcome.bad]
                if outcome.statuses[503] or outcome.longest > LONGEST_SECONDS:
                    troubles.append("somebody was told to come back, or waited too long")
                for trouble in troubles[:5]:
                    print(f"  !! {trouble[:300]}", flush=True)
                went_well = went_well and outcome.is_right and not troubles
            if not went_well:
                print((shelf.folder / "server.log").read_text(errors="replace")[-3000:])
    return 0 if went_well else 1


if __name__ == "__main__":
    last = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "*/migrations/0*.py")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else f"{last}^"))
