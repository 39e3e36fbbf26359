"""A backup taken under load, restored into an empty database, and proven.

    .venv/bin/python benchmarks/backup_load.py [FILMS]

Serves a shelf of its own with a synthetic catalogue (20,000 films by default), lets members write
all the time, and backs up meanwhile. Then: the restore (which compares every image with its SHA-256
and every number with its rows), every write that was acknowledged before the backup began, and a
login with an old account at a server on the restored database. Prints what docs/backup.md says;
exits 1 when something is missing. Under a minute.
"""

import sys
import time

from faults import PASSWORD, Client, Drill, Writer
from shelves import free_port, own_shelf

from movieshelf.embedded import SUPERUSER


def main(films: int) -> int:
    with own_shelf() as shelf:
        shelf.command(
            *("seed", "--demo", f"--movies={films}", f"--users={films // 10}"),
            *(f"--ratings={10 * films}", f"--reviews={2 * films}", "--images=200"),
        )
        drill = Drill(shelf)
        writers = [
            Writer(Client(drill.port, token), user_id, drill.films)
            for user_id, token in drill.members
        ]
        for writer in writers:
            writer.start()
        time.sleep(3)
        before = [set(writer.reviews) for writer in writers]
        file = shelf.folder / "shelf.backup"
        answered = sum(len(writer.answers) for writer in writers)
        started = time.monotonic()
        print(shelf.command("backup", str(file)).strip())
        seconds = time.monotonic() - started
        answers = [answer for writer in writers for answer in writer.answers]
        during = [answer for answer in answers if answer.at >= started]
        print(
            f"Meanwhile {len(answers) - answered:,} writes were answered in {seconds:.1f} s,"
            f" {sum(answer.status >= 500 for answer in during)} of them with 5xx; the longest took"
            f" {max(answer.seconds for answer in during):.2f} s."
        )
        for writer in writers:
            writer.goes_on = False
        for writer in writers:
            writer.join()

        with shelf.connect() as database:
            database.execute("CREATE DATABASE restored TEMPLATE template0")
        url = f"postgresql://{SUPERUSER}@/restored?host={shelf.services.run_dir}"
        print(shelf.command("restore", str(file), DATABASE_URL=url).strip())
        missing = 0
        with shelf.connect(dbname="restored") as database:
            for writer, reviews in zip(writers, before, strict=True):
                held = database.execute(
                    "SELECT content FROM reviews_review WHERE user_id = %s", [writer.user_id]
                )
                missing += len(reviews - {content for (content,) in held})
        acknowledged = sum(map(len, before))
        print(f"Of {acknowledged:,} reviews acknowledged before the backup, {missing} are missing.")

        port = free_port()
        shelf.start_server(port, DATABASE_URL=url)
        login = {"email": "drill-1@drill.example", "password": PASSWORD}
        status = Client(port).ask("POST", "/auth/login", login).status
        print(f"A login with an old account at the restored shelf was answered {status}.")
        return 1 if missing or status != 200 or not acknowledged else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
