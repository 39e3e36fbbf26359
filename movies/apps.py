from importlib import import_module

from django.apps import AppConfig


class MoviesConfig(AppConfig):
    name = "movies"

    def ready(self) -> None:
        import_module("movies.signals")
        import_module("movies.exporting")
