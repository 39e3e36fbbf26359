"""`python -m movieshelf.serving`: the server, how it starts and how it ends.

It is granian's command line with the defaults below; its arguments and the GRANIAN_* variables win.
What is added: an unsafe setting is told in one line instead of by each worker, all processes have a
folder for what they share (metrics), and SIGTERM is announced before it is carried out:

1. `/readyz` answers 503, so whoever balances sends nobody any more, and for DRAIN_SECONDS
   everything goes on;
2. granian takes no new connection, finishes what is in flight for up to 30 seconds, and ends
   with 0.

SIGINT (Ctrl-C) and a second SIGTERM skip the first step.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from typing import Any

from granian import cli
from granian.server.mp import MPServer

from movieshelf.draining import RUN_FOLDER, announce_end, run_folder

# By measurement (docs/performance.md), and for `make run` and the image alike.
DEFAULTS = {
    "GRANIAN_INTERFACE": "wsgi",
    "GRANIAN_HTTP": "1",
    "GRANIAN_WEBSOCKETS": "false",
    # A few more than REQUESTS_AT_ONCE and REQUESTS_IN_LINE, for health and for refusals.
    "GRANIAN_BLOCKING_THREADS": "136",
    "GRANIAN_RESPAWN_FAILED_WORKERS": "true",
    "GRANIAN_WORKERS_KILL_TIMEOUT": "30",
}


class DrainingServer(MPServer):
    """granian's server, which on SIGTERM first says that it is about to leave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from django.conf import settings

        self.drain_seconds: float = settings.DRAIN_SECONDS
        self.is_draining = False
        # Its own lines look like all others.
        super().__init__(*args, **{**kwargs, "log_dictconfig": settings.LOGGING})
        # So many threads are meant: most of them wait in line (movieshelf.admission).
        logging.getLogger("_granian").addFilter(lambda line: "Python threads" not in str(line.msg))

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        is_term = bool(args) and args[0] == signal.SIGTERM
        if not is_term or self.is_draining or self.drain_seconds <= 0:
            self.end()
            return
        self.is_draining = True
        announce_end()
        end = threading.Timer(self.drain_seconds, self.end)
        end.daemon = True
        end.start()

    def end(self) -> None:
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]  # it has no types


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "movieshelf.settings")
    os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="movieshelf-server-")
    # Read by prometheus_client while it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(run_folder() / "metrics")
    (run_folder() / "metrics").mkdir()
    try:
        serve()
    finally:
        shutil.rmtree(run_folder(), ignore_errors=True)


def serve() -> None:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        workers = settings.WEB_PROCESSES
    except ImproperlyConfigured as error:
        sys.exit(f"MovieShelf does not start: {error}")
    for name, value in {**DEFAULTS, "GRANIAN_WORKERS": str(workers)}.items():
        os.environ.setdefault(name, value)
    # Its command line makes the server by this name.
    cli.Server = DrainingServer  # type: ignore[attr-defined]  # a class of ours in place of theirs
    sys.argv[1:] = [*sys.argv[1:], "movieshelf.wsgi:application"]
    cli.entrypoint()  # type: ignore[no-untyped-call]  # it has no types


if __name__ == "__main__":
    main()
