"""What the processes of one server tell each other by files: that it is about to leave."""

import os
from pathlib import Path

# Made by movieshelf.serving; the workers inherit the variable.
RUN_FOLDER = "MOVIESHELF_RUN_FOLDER"


def run_folder() -> Path:
    return Path(os.environ[RUN_FOLDER])


def announce_end() -> None:
    """Tell every process of this server that no new client should come."""
    _mark().touch()


def is_draining() -> bool:
    """Whether the server that this process belongs to is about to leave."""
    return RUN_FOLDER in os.environ and _mark().exists()


def _mark() -> Path:
    return run_folder() / "draining"
