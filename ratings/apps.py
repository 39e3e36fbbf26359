from importlib import import_module

from django.apps import AppConfig


class RatingsConfig(AppConfig):
    name = "ratings"

    def ready(self) -> None:
        import_module("ratings.signals")
        import_module("ratings.exporting")
