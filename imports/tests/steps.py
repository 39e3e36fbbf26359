"""What the tests of imports do again and again."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from imports.running import carry_on
from movieshelf.tests.client import ApiClient

LETTERBOXD = "Date,Name,Year,Letterboxd URI,Rating"
REVIEWS = f"{LETTERBOXD},Rewatch,Review,Tags,Watched Date"
IMDB = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),"
    "Year,Genres,Num Votes,Release Date,Directors"
)


def letterboxd(*rows: tuple[Any, ...]) -> str:
    """Write ratings.csv: each row is a title, a year and stars, and a day where it matters."""
    lines = [
        f"{(*row, '2024-05-01')[3]},{row[0]},{row[1]},https://boxd.it/x,{row[2]}" for row in rows
    ]
    return "\n".join([LETTERBOXD, *lines, ""])


def imdb(*rows: tuple[Any, ...], kind: str = "Movie") -> str:
    """Write IMDb's ratings: each row is a title, a year and a rating."""
    lines = [
        f"tt01,{rating},2024-05-01,{title},{title},https://www.imdb.com/title/tt01,{kind},8.1,101,"
        f"{year},Drama,1000,{year}-05-17,Somebody"
        for title, year, rating in rows
    ]
    return "\n".join([IMDB, *lines, ""])


def send(member: ApiClient, data: str | bytes, query: str = "", **fields: Any) -> HttpResponse:
    """Send a file as a form would, without waiting for what comes of it."""
    content = data.encode() if isinstance(data, str) else data
    file = SimpleUploadedFile("ratings.csv", content, "text/csv")
    headers = {name: fields.pop(name) for name in list(fields) if name.startswith("HTTP_")}
    return Client.post(member, f"/imports{query}", {"file": file, **fields}, **headers)


def work() -> None:
    """Do the jobs that wait, as a worker would."""
    while job := ProcrastinateJob.objects.filter(task_name="imports.run", status="todo").first():
        import_id = job.args["import_id"]
        ProcrastinateJob.objects.filter(pk=job.pk).update(status="succeeded")
        if carry_on(import_id):
            app.configure_task("imports.run").defer(import_id=import_id)


def bring(member: ApiClient, data: str | bytes, query: str = "", **fields: Any) -> dict[str, Any]:
    """Import a file to its end; give the import with its report."""
    response = send(member, data, query, **fields)
    assert response.status_code == 202, response.json()
    work()
    return member.get(f"{response.headers['Location']}?pageSize=100").json()


def counted(counts: dict[str, int]) -> dict[str, int]:
    """Give the counts that are not zero."""
    return {name: number for name, number in counts.items() if number}
