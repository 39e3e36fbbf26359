"""Telling a person at a terminal how far it is; saying nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

type Advance = Callable[[float], object]


class Reporter(Protocol):
    def stage(self, label: str, total: int) -> Advance:
        """Begin a stage of `total` things; what is given is called with how many were done."""


class Silence:
    def stage(self, label: str, total: int) -> Advance:
        return lambda done: None


class Bars:
    """A bar for each stage."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def stage(self, label: str, total: int) -> Advance:
        task = self.progress.add_task(label, total=total)
        return lambda done: self.progress.advance(task, done)


@contextmanager
def bars() -> Iterator[Bars]:
    """Draw bars on the standard error until the block ends."""
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bars(progress)
