"""The client's address, believed only as far as the operator says."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_ip(request: HttpRequest | Request) -> str | None:
    """Give the peer's address, or what the outermost trusted proxy saw (TRUSTED_PROXIES).

    Each trusted proxy appends the address it was called from to X-Forwarded-For, so with N of
    them the N-th entry from the right is the client; what stands left of it is hearsay.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXIES:
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
        if len(forwarded) >= settings.TRUSTED_PROXIES:
            address = forwarded[-settings.TRUSTED_PROXIES].strip()
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A socket of both families shows 192.0.2.1 as ::ffff:192.0.2.1.
    return str(getattr(ip, "ipv4_mapped", None) or ip)
