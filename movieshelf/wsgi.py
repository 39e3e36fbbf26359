"""What the server calls."""

import os

from django.core.wsgi import get_wsgi_application

from movieshelf.api.bodies import readable_chunked_bodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "movieshelf.settings")

application = readable_chunked_bodies(get_wsgi_application())
