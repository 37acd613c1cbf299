"""Commands for the audit log."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
from sqlalchemy import func, select

from portal import audit as log
from portal import config
from portal.audit import Action, chain, reading
from portal.audit.chain import Entry, Head, Verdict
from portal.audit.head_file import HeadFile
from portal.cli import acting
from portal.config import Settings
from portal.extensions import db
from portal.models import AuditEvent

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """Check or export the audit log."""


@audit.command()
@click.argument("file", required=False, type=_FILE)
@click.option(
    "--head",
    "head_file",
    type=_FILE,
    help="The audit-head.json to compare FILE with; the portal's own by default.",
)
@click.option("--alone", is_flag=True, help="Compare FILE with no head: it is another portal's.")
def verify(file: Path | None, head_file: Path | None, alone: bool) -> None:
    """Check the hash chain of the live log or, without the portal, of an exported FILE."""
    try:
        if file is None:
            with acting(config.load()):
                verdict = reading.verify_live()
        else:
            newest = chain.EMPTY if alone else HeadFile(head_file or _own_head_file()).read()
            verdict = _verify_export(file, newest)
    except (ValueError, OSError) as error:
        raise click.ClickException(f"The log cannot be read: {error}.") from error
    if not verdict.ok:
        raise click.ClickException(f"The log is not whole: {verdict.problem}.")
    click.echo(
        f"The log is whole: {verdict.events} events, the newest is"
        f" {verdict.head.seq} with hash {verdict.head.hash}."
    )


@audit.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="CSV for people, JSON Lines for programs.",
)
def export(kind: str) -> None:
    """Write the whole log to standard output. `audit verify FILE` reads it back."""
    with acting(config.load()):
        log.record_alone(Action.AUDIT_EXPORTED, filters="")
        # The export ends with the event about itself, by which a whole one is known.
        last = db.session.scalar(
            select(func.max(AuditEvent.seq)).where(AuditEvent.action == Action.AUDIT_EXPORTED)
        )
        db.session.commit()
        entries = itertools.takewhile(lambda entry: entry.seq <= (last or 0), reading.entries())
        lines = reading.export_csv(entries) if kind == "csv" else reading.export_jsonl(entries)
        for text in lines:
            sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()


def _verify_export(file: Path, newest: Head) -> Verdict:
    """Check an export against itself and, where it is known, against the newest head.

    An export may be older than the head: a whole one ends with the event about its making.
    """
    last = Entry(0, *[""] * 9)
    newest_hash = newest.hash

    def watched() -> Iterator[Entry]:
        nonlocal last, newest_hash
        for last in chain.read(file):
            if last.seq == newest.seq:
                newest_hash = last.hash
            yield last

    verdict = chain.verify(watched())
    if not verdict.ok or newest == chain.EMPTY:
        return verdict
    problem = ""
    if newest_hash != newest.hash:
        problem = f"event {newest.seq} is not the one first written"
    elif last.seq < newest.seq and last.action != Action.AUDIT_EXPORTED:
        problem = (
            f"the end was cut off: it stops at event {last.seq} and the newest is {newest.seq}"
        )
    return replace(verdict, problem=problem)


def _own_head_file() -> Path:
    """Where the portal of this checkout keeps the newest head. Needs no other setting."""
    folder = Path(os.environ.get("PORTAL_INSTANCE_DIR") or Settings.instance_dir)
    return folder.expanduser() / "audit-head.json"


COMMANDS = (audit,)
