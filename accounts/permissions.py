"""Who may."""

from typing import Any, cast

from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import User
from movieshelf.api.views import SAFE_METHODS


class IsOwnerOrAdmin(IsAuthenticatedOrReadOnly):
    """Anybody reads; a change is for the one who made the thing, and for admins.

    The view says in `owner_field` which column names the owner.
    """

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        user = cast(User, request.user)
        if request.method in SAFE_METHODS or user.is_admin:
            return True
        return bool(getattr(obj, getattr(view, "owner_field", "created_by_id")) == user.pk)
