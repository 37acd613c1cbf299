"""The hash chain of the audit log, as arithmetic: needs neither the portal nor a database.

Each event's hash is SHA-256 over the hash before it and every field of the event. Whoever
changes, removes, inserts or reorders an event breaks the chain from there on; whoever cuts
off the end is found out by the newest head, which is kept elsewhere too.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

#: What stands before the first event.
GENESIS = "0" * 64

#: The fields of an event as they are exported, in order.
COLUMNS = (
    "seq",
    "at",
    "actor",
    "action",
    "document",
    "owner",
    "address",
    "user_agent",
    "detail",
    "hash",
)

#: A cell that begins with one of these would be run, or hidden, by a spreadsheet program.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")

_NUMBER = re.compile("[1-9][0-9]{0,18}")
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Entry(NamedTuple):
    """One event as text, but for its number; `at` is ISO 8601 in UTC with microseconds."""

    seq: int
    at: str
    actor: str
    action: str
    document: str
    owner: str
    address: str
    user_agent: str
    detail: str
    hash: str


class Head(NamedTuple):
    """The newest event's number and hash."""

    seq: int
    hash: str


EMPTY = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain found; `problem` is empty when all is well."""

    events: int
    head: Head
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


def hash_of(previous: str, entry: Entry) -> str:
    """The hash of `entry` when `previous` is the hash before it."""
    text = _to_json([previous, *entry[:-1]])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def verify(entries: Iterable[Entry], *heads: Head | None) -> Verdict:
    """Check a whole log from its first event; `heads` are those known from elsewhere."""
    head = EMPTY
    known = {each for each in heads if each is not None and each != EMPTY}
    for count, entry in enumerate(entries):
        if entry.seq != head.seq + 1:
            problem = f"event {head.seq + 1} is missing: the log goes on with {entry.seq}"
            if head == EMPTY:
                problem += " (an export made with a filter cannot be checked)"
            return Verdict(count, head, problem)
        if hash_of(head.hash, entry) != entry.hash:
            return Verdict(count, head, f"event {entry.seq} was changed, or one before it")
        head = Head(entry.seq, entry.hash)
        if any(each.seq == head.seq and each != head for each in known):
            return Verdict(count + 1, head, f"event {head.seq} is not the one first written")
    newest = max((each.seq for each in known), default=0)
    if newest > head.seq:
        problem = f"the end was cut off: event {newest} was written, {head.seq} is the last"
        return Verdict(head.seq, head, problem)
    return Verdict(head.seq, head)


def safe_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet program runs (ASVS 5.0, 1.2.10). Can be undone."""
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def raw_cell(cell: str) -> str:
    """What `safe_cell` was given."""
    return cell.removeprefix("'")


def read(path: Path) -> Iterator[Entry]:
    """The events of an exported file, CSV or JSON Lines, told apart by the content.

    Raises `ValueError`, naming the line, for anything that is not such a file.
    """
    with path.open("r", encoding="utf-8", newline="") as file:
        is_json = file.read(1) == "{"
        file.seek(0)
        yield from _read_jsonl(file) if is_json else _read_csv(file)


def _read_csv(file: IO[str]) -> Iterator[Entry]:
    # One hostile field must not make the log unreadable: fields are bounded when written.
    reader = csv.reader(file, strict=True)
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError("not an export of the audit log: the first line names other columns")
        for row in reader:
            if len(row) != len(COLUMNS):
                raise ValueError(f"line {reader.line_num}: {len(row)} fields, not {len(COLUMNS)}")
            yield _entry([raw_cell(cell) for cell in row], f"line {reader.line_num}")
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _read_jsonl(file: IO[str]) -> Iterator[Entry]:
    for number, line in enumerate(file, start=1):
        try:
            record = json.loads(line)
            cells = [record[column] for column in COLUMNS]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number}: not an event ({error})") from error
        yield _entry([str(cell) for cell in cells], f"line {number}")


def _entry(cells: list[str], where: str) -> Entry:
    # int() also reads spaces, signs and other digits: a changed file would pass for whole.
    if not _NUMBER.fullmatch(cells[0]):
        raise ValueError(f"{where}: the number of the event is not a number")
    return Entry(int(cells[0]), *cells[1:])
