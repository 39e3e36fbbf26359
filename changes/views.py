"""What changed on the shelf: for search engines and caches."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from changes.feed import TYPES, Cursor, read
from changes.serializers import ChangesParams, ChangesSerializer, shown
from movieshelf.api.errors import InvalidInput
from movieshelf.api.views import ApiView


class ChangesView(ApiView):
    """What was created, changed, hidden or deleted since a cursor."""

    serializer_class = ChangesSerializer
    permission_classes = (AllowAny,)
    pagination_class = None

    @extend_schema(operation_id="listChanges", parameters=[ChangesParams])
    def get(self, request: Request) -> Response:
        """List what changed.

        Follow `next`, at once while there is `more`, later when there is not. Each thing comes in
        the state it has by then, the latest change last, at least once: replace what you have.
        `created` says that it came after the cursor. A cursor is good for 30 days; one that is not,
        or of before a restored backup, is 400 on `since` with the code `expired`: begin without.
        """
        asked = ChangesParams.parse(request)
        since = Cursor.parse(asked["since"]) if "since" in asked else None
        if since and asked.get("types", since.types) != since.types:
            raise InvalidInput.on("types", "The cursor is one of other types.")
        page = read(since, types=asked.get("types", TYPES), limit=asked["limit"])
        items = shown(page.entries, self.get_serializer_context())
        return Response({"items": items, "next": str(page.next), "more": page.more})
