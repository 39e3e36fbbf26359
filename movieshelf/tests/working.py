"""Doing the background work in a test, as a worker would."""

from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob


def do_jobs(*names: str) -> None:
    """Do the jobs of these names that wait, oldest first; what one raises leaves it waiting."""
    waiting = ProcrastinateJob.objects.filter(task_name__in=names, status="todo").order_by("pk")
    while job := waiting.first():
        app.tasks[job.task_name](**job.args)
        ProcrastinateJob.objects.filter(pk=job.pk).update(status="succeeded")
