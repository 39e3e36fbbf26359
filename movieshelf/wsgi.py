"""What the server calls."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "movieshelf.settings")

from movieshelf.api.bodies import readable_chunked_bodies  # noqa: E402  # it reads the settings

application = readable_chunked_bodies(get_wsgi_application())
