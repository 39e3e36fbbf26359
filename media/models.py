"""Images as bytes in PostgreSQL. Rows never change: a new upload is a new id."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import models
from django.db.models.functions import UUID7
from django.utils import timezone

from media.images import CleanImage
from media.receiving import clean_upload

if TYPE_CHECKING:
    from accounts.models import User

ETAG_LENGTH = 32
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


class MediaQuerySet(models.QuerySet["Media"]):
    def without_bytes(self) -> Self:
        return self.defer("data")

    def usable_by(self, user: "User") -> Self:
        """Images this member may show somewhere: their own uploads."""
        return self.filter(uploader=user)

    def take(self, upload: UploadedFile, *, uploader: "User") -> "Media":
        """Decode, clean and keep an upload. Raises what media.receiving.clean_upload raises."""
        return self.keep(clean_upload(upload), uploader=uploader)

    def keep(self, image: CleanImage, *, uploader: "User | None") -> "Media":
        """Keep an image that is clean already."""
        return self.create(
            uploader=uploader,
            data=image.data,
            content_type=image.content_type,
            width=image.width,
            height=image.height,
            bytes=len(image.data),
            sha256=image.sha256,
        )


class Media(models.Model):
    id = models.UUIDField(primary_key=True, db_default=UUID7(), editable=False)
    uploader: "models.ForeignKey[User | None]" = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DB_SET_NULL,
        related_name="uploads",
    )
    data = models.BinaryField(editable=False)
    content_type = models.CharField(max_length=10, choices=[(kind, kind) for kind in EXTENSIONS])
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MediaQuerySet.as_manager()

    class Meta:
        verbose_name = "image"
        verbose_name_plural = "images"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(content_type__in=list(EXTENSIONS)), name="media_type_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.width}×{self.height} {EXTENSIONS.get(self.content_type, '?')} {self.pk}"

    @property
    def url(self) -> str:
        return f"/media/{self.pk}"

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:ETAG_LENGTH]}"'

    @property
    def file_name(self) -> str:
        """A name of ours for the browser; the uploader's is not kept."""
        return f"{self.pk}.{EXTENSIONS[self.content_type]}"
