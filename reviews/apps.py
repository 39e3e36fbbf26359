from importlib import import_module

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "reviews"

    def ready(self) -> None:
        import_module("reviews.signals")
        import_module("reviews.exporting")
