"""Django's backend for PostgreSQL, and a closer look at what comes out of its pool."""
