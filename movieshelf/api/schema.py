"""What drf-spectacular is told beyond what it sees in the code."""

from drf_spectacular.openapi import AutoSchema


class MovieShelfSchema(AutoSchema):
    """drf-spectacular's schema of one operation."""
