"""Every route of the API, read from the one page that has them all."""

from typing import NamedTuple

from django.urls import URLPattern

from movieshelf.urls import urlpatterns

NO_UUID = "00000000-0000-7000-8000-000000000000"
VERBS = ("get", "post", "put", "patch", "delete")


class Route(NamedTuple):
    template: str
    converters: dict[str, str]
    verbs: tuple[str, ...]

    def path(self, **values: object) -> str:
        """Fill in the ids, each the same unless named."""
        path = self.template
        for name, kind in self.converters.items():
            default = values.get("id", 1) if kind == "id" else NO_UUID
            path = path.replace(f"<{kind}:{name}>", str(values.get(name, default)))
        return path


def api_routes() -> list[Route]:
    """Give every route that a view of ours answers."""
    return [
        Route(f"/{pattern.pattern}", kinds(pattern), verbs(pattern))
        for pattern in urlpatterns
        if isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls")
    ]


def kinds(pattern: URLPattern) -> dict[str, str]:
    names = {"IdConverter": "id", "UUIDConverter": "uuid", "StringConverter": "str"}
    return {
        name: names[type(converter).__name__]
        for name, converter in pattern.pattern.converters.items()
    }


def verbs(pattern: URLPattern) -> tuple[str, ...]:
    actions = getattr(pattern.callback, "actions", None)
    if actions:
        return tuple(verb for verb in VERBS if verb in actions)
    return tuple(verb for verb in VERBS if hasattr(pattern.callback.cls, verb))


ROUTES = api_routes()
OPERATIONS = [(verb, route) for route in ROUTES for verb in route.verbs]
