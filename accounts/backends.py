"""Knowing somebody by e-mail address and password, for the API and the admin alike."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts.models import User


class EmailBackend(BaseBackend):
    """One hash is computed whoever asks, so the time taken says nothing about the account."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        email = username if username is not None else credentials.get("email")
        if email is None or password is None:
            return None
        user = User.objects.with_email(email).first()
        if user is None:
            make_password(password)
            return None
        # The password first: somebody switched off takes as long as anybody. Where there is no
        # usable password, Django's check computes a hash for nothing too.
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.filter(pk=user_id).first()
        return user if user and user.is_active else None
