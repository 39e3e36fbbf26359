"""Background work on the shelf: keeping its marks short and its blocks small."""

from procrastinate.contrib.django import app

from movies import marks


@app.periodic(cron="* * * * *")
@app.task(name="movies.keep_marks", queueing_lock="movies.keep_marks")
def keep_marks(timestamp: int) -> None:
    """Fold what moved, each minute; cut the blocks anew where they are unknown or too large."""
    marks.fold()
    if marks.need_rebuild():
        marks.rebuild()
