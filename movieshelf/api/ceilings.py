"""Ceilings on how often (contract section 2): counted in fixed windows, shared by all processes.

django-ratelimit counts, in the cache; without Redis that is each process's own (api.cache). Windows
are fixed, so up to twice a ceiling may pass within one window's length around the edge of two. The
edges differ from one counted thing to the next, so they do not invite everybody at once.
"""

import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac
from django_ratelimit import ALL
from django_ratelimit.core import EXPIRATION_FUDGE, _get_window, _make_cache_key, get_usage
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from movieshelf.api.addresses import client_ip
from movieshelf.api.cache import CountersCache, count_each
from movieshelf.api.errors import RateLimited
from movieshelf.metrics import CEILINGS_HIT

RATE = re.compile(r"([0-9]{1,9})/([smhd])")
# In the WSGI environ: what was counted before Django had this request, by the ceiling's name.
COUNTED_BEFORE = "movieshelf.counted"
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Count(NamedTuple):
    """What a request found of one ceiling, as draft-ietf-httpapi-ratelimit-headers-10 words it."""

    name: str
    quota: int
    window_seconds: int
    used: int
    seconds_left: int

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={self.quota};w={self.window_seconds}'

    @property
    def state(self) -> str:
        return f'"{self.name}";r={max(0, self.quota - self.used)};t={self.seconds_left}'


@dataclass(frozen=True)
class Ceiling:
    """So many of one thing within a window; the rate (`20/m`) stands in the settings."""

    name: str
    setting: str

    def count(self, request: HttpRequest | Request, who: str) -> None:
        """Count one more by `who`, unless it was counted before. Raises RateLimited over it."""
        count = request.META.get(COUNTED_BEFORE, {}).get(self.name)
        if count is None:
            count = self._usage(request, who)
            if count is None:
                return
            counted(request).append(count)
        if count.used > count.quota:
            CEILINGS_HIT.labels(self.name).inc()
            raise RateLimited(
                f"Too many requests; try again in {count.seconds_left} seconds.",
                headers={"Retry-After": str(count.seconds_left), **headers_of(request)},
            )

    def _usage(self, request: HttpRequest | Request, who: str) -> Count | None:
        quota, window_seconds = parse_rate(getattr(settings, self.setting))
        usage = get_usage(  # type: ignore[no-untyped-call]  # django-ratelimit has no types
            request,
            group=self.name,
            key=lambda group, request: who,
            rate=(quota, window_seconds),
            increment=True,
        )
        if usage is None:  # RATELIMIT_ENABLE is off
            return None
        # A window ends with its last second.
        return Count(self.name, quota, window_seconds, usage["count"], usage["time_left"] + 1)

    def count_all(self, whos: Sequence[str]) -> list[Count | None]:
        """Count one more by each of several, with one command for all of them.

        None where ceilings are off. It is the same counter that django-ratelimit finds for each,
        which has no way to ask for several. Nobody is refused here.
        """
        if not settings.RATELIMIT_ENABLE:
            return [None] * len(whos)
        quota, window_seconds = parse_rate(getattr(settings, self.setting))
        now = int(time.time())
        ends = [_get_window(who, window_seconds) for who in whos]  # type: ignore[no-untyped-call]  # as above
        keys = [
            _make_cache_key(self.name, end, (quota, window_seconds), who, ALL)  # type: ignore[no-untyped-call]  # as above
            for who, end in zip(whos, ends, strict=True)
        ]
        counters, timeout = caches[settings.RATELIMIT_USE_CACHE], window_seconds + EXPIRATION_FUDGE
        if isinstance(counters, CountersCache):
            used = counters.count(keys, timeout)
        else:
            used = count_each(counters, keys, timeout)
        return [
            Count(self.name, quota, window_seconds, number, end - now + 1)
            for number, end in zip(used, ends, strict=True)
        ]


class PerIP(Ceiling):
    def check(self, request: HttpRequest | Request) -> None:
        """Count one more from this client's address. Raises RateLimited."""
        self.count(request, address_block(client_ip(request)))


class PerAccount(Ceiling):
    def check(self, request: HttpRequest | Request, account: str) -> None:
        """Count one more for an account, named as it is compared. Raises RateLimited.

        The cache holds no e-mail address, nor a hash that a list of addresses could be held
        against. Somebody else's attempts count too, so this is kept to where guessing is at stake.
        """
        self.count(request, salted_hmac("movieshelf.ceilings", account).hexdigest())


class PerUser(Ceiling):
    def check(self, request: HttpRequest | Request) -> None:
        """Count one more change by whoever is logged in; reads are free. Raises RateLimited."""
        if request.method not in SAFE_METHODS and request.user.is_authenticated:
            self.count(request, str(request.user.pk))


REGISTER_BY_IP = PerIP("register-ip", "RATELIMIT_REGISTER_IP")
REGISTER_BY_ACCOUNT = PerAccount("register-account", "RATELIMIT_REGISTER_ACCOUNT")
LOGIN_BY_IP = PerIP("login-ip", "RATELIMIT_LOGIN_IP")
LOGIN_BY_ACCOUNT = PerAccount("login-account", "RATELIMIT_LOGIN_ACCOUNT")
PASSWORD_RESET_BY_IP = PerIP("password-reset-ip", "RATELIMIT_PASSWORD_RESET_IP")
PASSWORD_RESET_BY_ACCOUNT = PerAccount("password-reset-account", "RATELIMIT_PASSWORD_RESET_ACCOUNT")
REFRESHES = PerIP("refresh", "RATELIMIT_REFRESH_IP")
WRITES = PerUser("writes", "RATELIMIT_WRITES_USER")
UPLOADS = PerUser("uploads", "RATELIMIT_UPLOADS_USER")
IMPORTS = PerUser("imports", "RATELIMIT_IMPORTS_USER")


def parse_rate(rate: str) -> tuple[int, int]:
    """Give how many in how many seconds `20/m` is. Raises ValueError."""
    if not (found := RATE.fullmatch(rate)):
        raise ValueError(f"{rate!r} is not a rate such as 20/m.")
    return int(found[1]), SECONDS[found[2]]


def address_block(address: str | None) -> str:
    """Give what one client holds alone: an IPv4 address, or the /64 of an IPv6 address.

    Those whose address is unknown share one budget.
    """
    if address is None:
        return "unknown"
    ip = ipaddress.ip_address(address)
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip.packed, 64), strict=False))


def counted(request: HttpRequest | Request) -> list[Count]:
    """Give the list of what was counted for this request so far, to add to it."""
    http = request._request if isinstance(request, Request) else request
    if not hasattr(http, "_ceilings_counted"):
        before = request.META.get(COUNTED_BEFORE, {})
        http._ceilings_counted = [*before.values()]  # type: ignore[attr-defined]  # ours, on Django's request
    counts: list[Count] = http._ceilings_counted  # type: ignore[attr-defined]  # set above
    return counts


def headers_of(request: HttpRequest | Request) -> dict[str, str]:
    """Give `RateLimit` and `RateLimit-Policy` for what was counted, nothing where nothing was."""
    return headers_for(counted(request))


def headers_for(counts: Iterable[Count]) -> dict[str, str]:
    """Give `RateLimit` and `RateLimit-Policy` for these counts, nothing for none."""
    counts = list(counts)
    if not counts:
        return {}
    return {
        "RateLimit-Policy": ", ".join(count.policy for count in counts),
        "RateLimit": ", ".join(count.state for count in counts),
    }


def tell(request: HttpRequest | Request, response: HttpResponseBase) -> None:
    """Say on an answer how much is left of each ceiling that the request counted towards."""
    for name, value in headers_of(request).items():
        response.headers[name] = value
