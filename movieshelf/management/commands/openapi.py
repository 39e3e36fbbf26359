"""Write `openapi.json`, the OpenAPI document that is committed and served."""

from typing import Any

from django.core.management.base import BaseCommand

from movieshelf.reference.document import COMMITTED, openapi_json


class Command(BaseCommand):
    help = "Write openapi.json from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        COMMITTED.write_bytes(openapi_json())
        self.stdout.write(f"Wrote {COMMITTED.name}.")
