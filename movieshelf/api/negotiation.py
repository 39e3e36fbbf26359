"""Which type an answer has, and which body is taken at all."""

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from movieshelf.api.bodies import declared_length
from movieshelf.api.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType


class StrictNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, to the letter of contract section 1."""

    def get_accept_list(self, request: Request) -> list[str]:
        """An empty `Accept` asks for nothing in particular (RFC 9110, 12.5.1)."""
        header = request.META.get("HTTP_ACCEPT", "").strip() or "*/*"
        return [token.strip() for token in header.split(",")]

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Give the parser of exactly this type; DRF would take `*/*` for any.

        The length comes before the type, and nothing is read before both are right. Raises
        PayloadTooLarge, UnsupportedMediaType, and InvalidInput where there is no body.
        """
        parsers = list(parsers)
        for parser in parsers:
            refuse_too_large(request, parser)
        essence = request.content_type.partition(";")[0].strip().lower()
        for parser in parsers:
            if parser.media_type == essence:
                return parser
        if not essence and not declared_length(request):
            raise InvalidInput("A body is needed here.")
        taken = " or ".join(str(parser.media_type) for parser in parsers)
        raise UnsupportedMediaType(f"A body {_shown(essence)} is not taken here; send {taken}.")


def refuse_too_large(request: Request, parser: BaseParser) -> None:
    """Raise PayloadTooLarge where the body says itself that it is over the parser's bound."""
    max_bytes = getattr(parser, "max_bytes", None)
    if max_bytes is not None and declared_length(request) > max_bytes:
        raise PayloadTooLarge(f"The body is over the limit of {max_bytes:,} bytes.")


def _shown(essence: str) -> str:
    """The refused type as the client named it, bounded and printable."""
    named = essence[:60] if essence.isascii() and essence.isprintable() else "of an unreadable name"
    return f"of type {named}" if named else "without a type"
