"""How Alembic reaches the database: through the app, so that its settings hold here too."""

from alembic import context
from flask import current_app

from portal.extensions import db


def run() -> None:
    if context.is_offline_mode():
        raise SystemExit("migrations need the database: they fill in rows as well")
    engine = db.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # Batch operations copy tables, which foreign keys would take for deletions. Said
            # to the driver itself: inside a transaction SQLite ignores it.
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                # Several machines may start at once; the others wait here.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(20261120)")
            context.run_migrations()
        connection.commit()


run()
