"""Table locks of migrations that change several tables beside traffic."""


def lock_at_once(*tables: str) -> str:
    """Give SQL that has several tables for itself until the transaction ends, or none of them.

    Who lists films takes the films before their numbers, and who rates the numbers before the film.
    Waiting for one table while holding another would be a deadlock with one of the two; so it takes
    none until all are free at the same moment, and meanwhile nobody has to wait behind it. Raises
    what a wait that is too long raises when that does not come for ten seconds.
    """
    return f"""
    DO $$
    BEGIN
        FOR try IN 1..1000 LOOP
            BEGIN
                LOCK TABLE {", ".join(tables)} IN ACCESS EXCLUSIVE MODE NOWAIT;
                RETURN;
            EXCEPTION WHEN lock_not_available THEN
                PERFORM pg_sleep(0.01);
            END;
        END LOOP;
        RAISE lock_not_available
            USING MESSAGE = '{", ".join(tables)}: never free at once; try again later';
    END $$;
    """
