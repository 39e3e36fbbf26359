"""What holds of all migrations together."""

import pytest
from django.contrib.postgres.operations import CreateExtension
from django.db import connection
from django.db.migrations.loader import MigrationLoader


@pytest.mark.django_db
def test_only_one_migration_takes_an_extension_away_when_one_goes_back():
    """Another app's indexes need it still: `migrate accounts 0002` failed (row 158)."""
    made = [
        (operation.name, str(migration))
        for migration in MigrationLoader(connection).disk_migrations.values()
        for operation in migration.operations
        if isinstance(operation, CreateExtension)
    ]

    assert made == [("pg_trgm", "movies.0001_initial")]
