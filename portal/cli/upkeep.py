"""Commands that look whether all is well, and tidy up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click
from sqlalchemy.exc import SQLAlchemyError

from portal import config, create_app
from portal.admin import checks
from portal.admin.checks import Check
from portal.cli import acting
from portal.config import ConfigError
from portal.documents import housekeeping, integrity
from portal.errors import PortalError
from portal.extensions import db
from portal.search import waiting


@click.command()
@click.option("--deep", is_flag=True, help="Read every stored byte and compare its hash.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
def doctor(deep: bool, as_json: bool) -> None:
    """Check settings, database, storage and worker. The exit code is 0 only when all is well."""
    found = []
    for check in _checks(deep=deep):
        found.append(check)
        if not as_json:
            _show(check)
    is_well = all(check.ok for check in found)
    if as_json:
        click.echo(json.dumps({"ok": is_well, "checks": [asdict(check) for check in found]}))
    else:
        click.echo("All is well." if is_well else "Not all is well.")
    if not is_well:
        raise SystemExit(1)


@click.command()
def purge() -> None:
    """Remove what has had its time; the worker does the same on its own clock."""
    settings = config.load()
    with acting(settings):
        for name, count in asdict(housekeeping.purge(settings)).items():
            click.echo(f"{count} {name} removed")


@click.command()
def verify() -> None:
    """Read every stored file now and compare its hash. The exit code is 1 if one is damaged."""
    settings = config.load()
    damaged = 0
    with acting(settings):
        total = integrity.all_bytes()
        with click.progressbar(length=total, label="Verifying", file=sys.stderr) as bar:
            for item, problem in integrity.verify_everything(bar.update):
                damaged += 1
                click.echo(f"\n{item.blob} {problem}")
        count = integrity.progress(settings).total
    if damaged:
        files = "file is" if damaged == 1 else "files are"
        click.echo(f"{damaged} of {count} stored {files} damaged. The admins were told.")
        raise SystemExit(1)
    click.echo(f"All {count} stored files are what was uploaded.")


@click.command()
@click.option("--problems", is_flag=True, help="Only what could not be read before.")
def reindex(problems: bool) -> None:
    """Have documents read anew for searching; the worker does it, the newest first."""
    with acting(config.load()):
        count = waiting.read_again(problems_only=problems)
        click.echo(f"{count} documents are read anew by the worker")


def _checks(*, deep: bool) -> Iterator[Check]:
    """Every check; what keeps the others from being made is the last one and says so."""
    try:
        settings = config.load()
    except ConfigError as error:
        yield Check("Settings", False, "One is not right.", str(error))
        return
    yield Check("Settings", True, "They are understood.")
    try:
        app = create_app(settings)
        with app.app_context():
            try:
                yield from checks.everything(settings, deep=deep)
            finally:
                db.session.remove()
                db.engine.dispose()
    except (SQLAlchemyError, PortalError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        yield Check("All checks", False, f"They could not be finished: {reason}", "See the log.")


def _show(check: Check) -> None:
    mark = click.style("ok ", fg="green") if check.ok else click.style("BAD", fg="red", bold=True)
    click.echo(f"{mark} {check.name}: {check.detail}")
    if not check.ok and check.cure:
        click.echo(f"      {check.cure}")


COMMANDS = (doctor, purge, reindex, verify)
