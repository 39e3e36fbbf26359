"""Images as bytes in PostgreSQL. Rows never change: a new upload is a new id.

The bytes stay in the database until somebody means to send or decode them: the managers leave them
out of every query, and `read_bytes()` fetches those of one image.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import UUID7
from django.utils import timezone
from procrastinate.contrib.django import app as queue

from media.door import narrowed
from media.images import CleanImage
from media.signals import images_leaving
from movieshelf.api.errors import NotFound, PayloadTooLarge
from movieshelf.api.hot import Shown
from movieshelf.api.transactions import retried_atomic

if TYPE_CHECKING:
    from accounts.models import User

ETAG_LENGTH = 32
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
# What clients may ask for with `?width=`.
WIDTHS = (160, 320, 640, 1280)

# An image is swept when nothing has pointed to it for this long.
UNUSED_FOR = timedelta(days=1)
SWEEP_BATCH = 500
MEBIBYTE = 1024 * 1024

Data = bytes  # a name for it where `bytes` is a field


class StorageFull(PayloadTooLarge):
    """A member's images would be too many bytes."""

    def __init__(self, kept: int, more: int) -> None:
        super().__init__(
            f"Your images take {kept / MEBIBYTE:.1f} MiB and this one {more / MEBIBYTE:.1f} MiB; "
            f"{settings.MEDIA_USER_MAX_BYTES / MEBIBYTE:g} MiB are allowed. "
            "Images that are shown nowhere are removed after a day."
        )


class Picture(models.Model):
    """What an upload and the smaller pictures made of it have in common."""

    data = models.BinaryField(editable=False)
    bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        abstract = True

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:ETAG_LENGTH]}"'

    @property
    def shown(self) -> Shown:
        """Say what shows that the image is still there; its bytes never change."""
        question = f"SELECT 1 FROM {self._meta.db_table} WHERE id = %s"
        return Shown(question=question, parameters=(self.pk,), answer=(1,))

    def read_bytes(self) -> Data:
        """Give the bytes from the row. Raises NotFound where it just went.

        Django's cursors get bytes as text, two characters each, and turn them back. PostgreSQL
        sends them as they are where it is asked to, which takes a seventh of the time.
        """
        if "data" not in self.get_deferred_fields():
            return bytes(self.data)
        # Where the row came from, which may be a replica.
        database = connections[self._state.db or DEFAULT_DB_ALIAS]
        database.ensure_connection()
        query = f"SELECT data FROM {self._meta.db_table} WHERE id = %s"
        with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
            found = cursor.execute(query.encode(), [self.pk], binary=True).fetchone()
        if found is None:
            raise NotFound("There is no such image.")
        return bytes(found[0])


class MediaQuerySet(models.QuerySet["Media"]):
    def usable_by(self, user: "User") -> Self:
        """Images this member may show somewhere: their own uploads."""
        return self.filter(uploader=user)

    def unused(self) -> Self:
        """Images that nothing points to."""
        images = self
        for field in pointers():
            rows = field.model._base_manager.filter(**{field.name: OuterRef("pk")})
            images = images.filter(~Exists(rows))
        return images

    def to_sweep(self) -> Self:
        """Images that nothing points to, and that were found so a day ago or earlier."""
        return self.filter(unused_since__lte=timezone.now() - UNUSED_FOR).unused()

    def require(self, pk: UUID) -> "Media":
        """Give an image with what its headers say, the rest deferred. Raises NotFound.

        In SQL, because it is asked with every request for an image: to put so small a query
        together takes Django three times as long as it takes PostgreSQL to answer.
        """
        for media in self.raw(
            "SELECT id, content_type, bytes, sha256 FROM media_media WHERE id = %s", [pk]
        ):
            return media
        raise NotFound("There is no such image.")

    @retried_atomic
    def keep(
        self,
        image: CleanImage,
        *,
        uploader: "User | None",
        show: Callable[["Media"], object] | None = None,
    ) -> "Media":
        """Keep an image that is clean already, and have its derivatives made.

        `show` links it to something in the same transaction, so that an image that cannot be shown
        is not kept either. Raises StorageFull when the member has too many bytes.
        """
        if uploader is not None:
            self.require_room(uploader, len(image.data))
        media = self.create(
            uploader=uploader,
            data=image.data,
            content_type=image.content_type,
            width=image.width,
            height=image.height,
            bytes=len(image.data),
            sha256=image.sha256,
        )
        # By name: media.jobs imports this module. The job is a row of this transaction.
        queue.configure_task("media.make_derivatives").defer(media_id=str(media.pk))
        if show is not None:
            show(media)
        return media

    def require_room(self, uploader: "User", more: int) -> None:
        """Lock the member, so that uploads count one after another; raise StorageFull."""
        members = get_user_model()._base_manager.filter(pk=uploader.pk)
        list(members.select_for_update(no_key=True).values_list("pk"))
        # A statement of its own: it sees what the lock waited for.
        kept = self.filter(uploader=uploader).aggregate(total=Sum("bytes", default=0))["total"]
        if kept + more > settings.MEDIA_USER_MAX_BYTES:
            raise StorageFull(kept, more)

    @retried_atomic
    def remove(self) -> int:
        """Remove these images on purpose, and give how many there were.

        They are gone at once, and what pointed to them shows none.
        """
        ids = list(self.values_list("pk", flat=True))
        # Before the images are locked: who links one locks his own row first, and so do we.
        images_leaving.send(sender=Media, media_ids=ids)
        return _delete(Media.objects.filter(pk__in=ids))

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove these images on purpose; the same as `remove`, by Django's name."""
        removed = self.remove()
        return removed, {Media._meta.label: removed}

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces

    def sweep(self, *, batch: int = SWEEP_BATCH) -> int:
        """Remove the images that nothing has pointed to for a day; give how many there were.

        What is found unused for the first time is only marked: its day begins. The database takes
        the mark away when something shows the image again (media.0004). In batches, each a short
        transaction. A new link to an unused image wins: making one locks the image (FOR KEY
        SHARE, by its foreign key), a locked image is skipped, and what was linked just before we
        locked is seen when we look again.
        """
        _batched(self.filter(unused_since=None).unused(), _mark_unused, batch)
        return self.to_sweep().remove_unused(batch=batch)

    def remove_unused(self, *, batch: int = SWEEP_BATCH) -> int:
        """Remove those of these images that nothing points to; give how many there were.

        One that somebody is linking just now is left to them.
        """
        return _batched(self.unused(), _delete, batch)


_MediaManager = models.Manager.from_queryset(MediaQuerySet)


class MediaManager(_MediaManager):  # type: ignore[type-arg]  # it takes none at run time
    def get_queryset(self) -> MediaQuerySet:
        return cast(MediaQuerySet, super().get_queryset()).defer("data")


class Media(Picture):
    id = models.UUIDField(primary_key=True, db_default=UUID7(), editable=False)
    uploader: "models.ForeignKey[User | None]" = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DB_SET_NULL,
        related_name="uploads",
    )
    content_type = models.CharField(max_length=10, choices=[(kind, kind) for kind in EXTENSIONS])
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    unused_since = models.DateTimeField(
        null=True, editable=False, help_text="When the sweep first found it shown nowhere."
    )

    objects = MediaManager()

    class Meta:
        verbose_name = "image"
        verbose_name_plural = "images"
        # What follows a foreign key to an image leaves the bytes out too.
        base_manager_name = "objects"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(content_type__in=list(EXTENSIONS)), name="media_type_known"
            ),
        )
        indexes = (
            models.Index(
                "unused_since", condition=~models.Q(unused_since=None), name="media_unused"
            ),
        )

    def __str__(self) -> str:
        return f"{self.width}×{self.height} {EXTENSIONS.get(self.content_type, '?')} {self.pk}"

    @property
    def url(self) -> str:
        return f"/media/{self.pk}"

    @property
    def file_name(self) -> str:
        """A name of ours for the browser; the uploader's is not kept."""
        return f"{self.pk}.{EXTENSIONS[self.content_type]}"

    def remove(self) -> int:
        """Remove this image on purpose; what pointed to it shows none."""
        return Media.objects.filter(pk=self.pk).remove()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        return Media.objects.filter(pk=self.pk).delete()


class DerivativeQuerySet(models.QuerySet["Derivative"]):
    def of(self, media_id: UUID, width: int) -> Self:
        return self.filter(media_id=media_id, width=width)

    def made(self, media_id: UUID, width: int) -> "Derivative":
        """Give an image no wider than `width`, made now where the job has not come to it yet.

        Raises NotFound, Unavailable when every decoder stays busy.
        """
        for derivative in self.raw(  # in SQL as Media.objects.require
            "SELECT id, media_id, width, bytes, sha256 FROM media_derivative"
            " WHERE media_id = %s AND width = %s",
            [media_id, width],
        ):
            return derivative
        return self.make(media_id, width)

    def make(self, media_id: UUID, width: int) -> "Derivative":
        """Make it unless it is made already: once, however many ask at once, in all processes.

        Who comes first holds a lock of the database while it encodes; the others wait for the
        lock and find the row. While MovieShelf is read-only each makes its own and keeps none.
        """
        if settings.READ_ONLY:
            return self._encoded(media_id, width)
        with transaction.atomic():
            _wait_for_turn(f"{media_id} at {width}")
            # A statement of its own: it sees what the lock waited for.
            derivative = self.of(media_id, width).first()
            if derivative is None:
                derivative = self._encoded(media_id, width)
                derivative.save(force_insert=True)
        return derivative

    def _encoded(self, media_id: UUID, width: int) -> "Derivative":
        image = narrowed(Media.objects.require(media_id).read_bytes(), width)
        return Derivative(
            media_id=media_id,
            width=width,
            data=image.data,
            bytes=len(image.data),
            sha256=image.sha256,
        )


_DerivativeManager = models.Manager.from_queryset(DerivativeQuerySet)


class DerivativeManager(_DerivativeManager):  # type: ignore[type-arg]  # it takes none at run time
    def get_queryset(self) -> DerivativeQuerySet:
        return cast(DerivativeQuerySet, super().get_queryset()).defer("data")


class Derivative(Picture):
    """An image as a WebP no wider than `width`: made once, and then as immutable as the image."""

    media = models.ForeignKey(
        Media, on_delete=models.DB_CASCADE, related_name="derivatives", db_index=False
    )
    width = models.PositiveSmallIntegerField(choices=[(width, width) for width in WIDTHS])

    objects = DerivativeManager()
    content_type = "image/webp"

    class Meta:
        base_manager_name = "objects"
        constraints = (
            models.UniqueConstraint(fields=["media", "width"], name="derivative_made_once"),
        )

    def __str__(self) -> str:
        return f"{self.media_id} at {self.width}"

    @property
    def file_name(self) -> str:
        return f"{self.media_id}-{self.width}.webp"


def pointers() -> list["models.ForeignKey[Any]"]:
    """Find the foreign keys, of whatever app, that show an image.

    One that is deleted along with the image (a derivative's) is a part of it, and shows nothing.
    """
    return [
        relation.field
        for relation in Media._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel) and relation.on_delete is not models.DB_CASCADE
    ]


def _batched(candidates: MediaQuerySet, verb: Callable[[MediaQuerySet], int], batch: int) -> int:
    """Do something with unused images, batch by batch, each a transaction; give how many.

    Nobody is waited for: an image that somebody links, or another sweep has, is skipped.
    """
    done, after = 0, UUID(int=0)
    candidates = candidates.order_by("pk")
    while True:
        with transaction.atomic():
            locked = candidates.filter(pk__gt=after).select_for_update(skip_locked=True)
            ids = list(locked.values_list("pk", flat=True)[:batch])
            # A statement of its own: it sees every link that was made before the lock.
            done += verb(Media.objects.filter(pk__in=ids).unused())
        if len(ids) < batch:
            return done
        after = ids[-1]


def _mark_unused(images: MediaQuerySet) -> int:
    return images.update(unused_since=timezone.now())


def _delete(images: MediaQuerySet) -> int:
    """Delete rows in one statement; the database takes care of what refers to them."""
    return models.QuerySet.delete(images)[1].get(Media._meta.label, 0)


def _wait_for_turn(subject: str) -> None:
    """Wait for the lock on a subject, and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [subject])
