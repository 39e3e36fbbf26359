"""Background work on the shelf: keeping its marks short and its blocks small."""

from procrastinate.contrib.django import app

from movies import marks, texts

TRIES = 3


@app.periodic(cron="* * * * *")
@app.task(name="movies.keep_marks", queueing_lock="movies.keep_marks")
def keep_marks(timestamp: int) -> None:
    """Fold what moved, each minute; cut the blocks anew where they are unknown or too large."""
    marks.fold()
    if marks.need_rebuild():
        marks.rebuild()


@app.periodic(cron="* * * * *")
@app.task(name="movies.keep_texts", queueing_lock="movies.keep_texts", lock="movies.keep_texts")
def keep_texts(timestamp: int) -> None:
    """Count what titles and stars moved, each minute; find the common texts where it is time."""
    # Who folds into the marks at this moment is in the way, and soon done.
    any(texts.fold() for _ in range(TRIES))
    if texts.need_build():
        texts.build()
