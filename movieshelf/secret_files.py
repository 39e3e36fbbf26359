"""Settings from files: SECRET_KEY_FILE=/run/secrets/secret_key stands for SECRET_KEY."""

from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping


class SecretFiles(FileAwareMapping):
    """django-environ's mapping of such files over the environment, for files that people write."""

    def __getitem__(self, key: str) -> str:
        """Give a value without the line end of its file. Raises ImproperlyConfigured, KeyError."""
        try:
            return str(super().__getitem__(key)).strip()  # type: ignore[no-untyped-call]  # untyped there
        except (OSError, UnicodeError) as error:
            raise ImproperlyConfigured(f"The file of {key}_FILE cannot be read.") from error
