"""The building: settings, routes, and what every part of MovieShelf shares."""

# The one place of the version: the OpenAPI document, the package and the image follow it.
__version__ = "1.0.0"
