"""The command line: one file a family of commands, each another coat on the same services.

What goes wrong is said in one line that names the cure, and the exit code is 2 where a setting
or an argument is wrong, 1 where the command could not do its work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from portal import audit, create_app, database
from portal.config import ROOT, ConfigError, Settings
from portal.errors import PortalError
from portal.extensions import db

#: How the audit log names whoever acts from the command line.
ACTOR = "command line"


class WrongSetting(click.ClickException):
    """A setting stops the start; the text names it and its cure."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands may raise what the services raise."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise WrongSetting(str(error)) from error
        except PortalError as error:
            # The cure of the class speaks of pages and buttons.
            cure = error.cure if "cure" in vars(error) else ""
            raise click.ClickException(f"{error.what} {cure}".strip()) from error
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise click.ClickException(
                f"The database does not do its work ({reason}). Check PORTAL_DATABASE_URL."
            ) from error


@contextmanager
def acting(settings: Settings, *, makes_tables: bool = False) -> Iterator[Flask]:
    """Act as the command line: the app's context is open, and the log knows who acts.

    A database whose tables are older than the code is refused; one without any gets them
    with `makes_tables`, so that accounts can be made before the first `run`.
    """
    app = create_app(settings)
    with app.app_context():
        try:
            tables = tables_of(app)
            if tables == "none" and makes_tables:
                database.upgrade(app)
            elif tables != "newest":
                raise click.ClickException(
                    "The database is not up to date. Run: python3 manage.py upgrade"
                )
            with audit.acting(audit.Origin(ACTOR)):
                yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def tables_of(app: Flask) -> str:
    """Tell how the database's tables stand to the code: none, older or newest."""
    with app.app_context(), db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present is None:
        return "none"
    newest = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
    return "newest" if present == newest else "older"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A private portal for documents. Start with: python3 manage.py run"""


def main() -> None:
    """Run the command that the arguments name."""
    from portal.cli import audit_log, demo, people, serve, tests, tokens, upkeep

    for family in (serve, demo, people, tokens, upkeep, audit_log, tests):
        for command in family.COMMANDS:
            cli.add_command(command)
    cli(prog_name="manage.py")
