"""The front page's numbers, for its template."""

from typing import Any

from django import template

from moderation import desk

register = template.Library()


@register.simple_tag
def desk_numbers() -> dict[str, Any]:
    return {"figures": desk.figures(), "charts": desk.charts(), "acts": desk.latest_acts()}
