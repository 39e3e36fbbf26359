"""Write `openapi.json`, which is committed and served, and the collection made of it."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from movieshelf.reference.collection import COLLECTION, collection_json
from movieshelf.reference.document import COMMITTED, openapi_json


class Command(BaseCommand):
    help = "Write openapi.json, and the Postman collection, from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        document = openapi_json()
        COMMITTED.write_bytes(document)
        COLLECTION.write_bytes(collection_json(json.loads(document)))
        self.stdout.write(f"Wrote {COMMITTED.name} and {COLLECTION.name}.")
