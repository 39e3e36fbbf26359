"""Times as a person says them."""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()


@register.filter
def ago(moment: datetime) -> SafeString:
    """Say how long ago it was, with the moment itself for who points at it."""
    said = f"{timesince(moment, depth=1)} ago"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M}",
        said,
    )


@register.filter
def lasting(moment: datetime) -> str:
    """Say how long it has been."""
    return timesince(moment, depth=1)
