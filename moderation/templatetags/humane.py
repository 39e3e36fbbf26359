"""Times as a person says them."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()


@register.filter
def ago(moment: datetime) -> SafeString:
    """Say how long ago it was, with the moment itself for who points at it."""
    said = f"{timesince(moment, depth=1)} ago" if is_over(moment) else "just now"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M}",
        said,
    )


@register.filter
def lasting(moment: datetime) -> str:
    """Say how long it has been."""
    return timesince(moment, depth=1) if is_over(moment) else "a moment"


def is_over(moment: datetime) -> bool:
    """Whether at least a minute has passed since then."""
    return timezone.now() - moment >= timedelta(minutes=1)
