"""The hash chain: whatever was changed is found, and nothing else is called changed."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portal.audit.chain import (
    COLUMNS,
    EMPTY,
    Entry,
    Head,
    hash_of,
    raw_cell,
    read,
    safe_cell,
    verify,
)
from portal.audit.reading import export_csv, export_jsonl, verify_file

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FORMULAS = st.sampled_from(["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "'x", "''", "'=1"])
CELLS = TEXT | FORMULAS
#: The fields of an event without number and hash.
FACTS = st.tuples(*[CELLS] * 8)
LOGS = st.lists(FACTS, min_size=1, max_size=12)

NAMES = ["deed.pdf", '=HYPERLINK("http://x")', "日本 😀.pdf", "a,b;c\"d'e.txt", "{0}\\u00e9"]


def chain(facts: list[tuple[str, ...]], start: Head = EMPTY) -> list[Entry]:
    """A log of those facts, each chained to the one before."""
    entries, head = [], start
    for each in facts:
        entry = Entry(head.seq + 1, *each, "")
        head = Head(entry.seq, hash_of(head.hash, entry))
        entries.append(entry._replace(hash=head.hash))
    return entries


def head_of(entries: list[Entry]) -> Head:
    return Head(entries[-1].seq, entries[-1].hash)


def lifelike(count: int) -> list[Entry]:
    """A log such as a portal writes."""
    facts = [
        (
            f"2026-03-{1 + n % 28:02}T10:20:30.{n:06}Z",
            "alice@example.org",
            ["document.uploaded", "document.downloaded", "session.started"][n % 3],
            "0d9e4f1c-57b8-4a53-8a8f-0e6f0b8f8f52" if n % 3 else "",
            "alice@example.org",
            "127.0.0.1",
            "Mozilla/5.0 (X11; Linux x86_64)",
            '{"name":"' + NAMES[n % len(NAMES)].replace('"', '\\"') + '"}' if n % 3 else "",
        )
        for n in range(count)
    ]
    return chain(facts)


@given(LOGS)
def test_whole_log_is_whole(facts: list[tuple[str, ...]]) -> None:
    entries = chain(facts)
    for newest in (None, EMPTY, head_of(entries), head_of(entries[:1])):
        verdict = verify(entries, newest)
        assert verdict.ok
        assert (verdict.events, verdict.head) == (len(entries), head_of(entries))


def test_empty_log_is_whole() -> None:
    assert verify([]).ok
    assert verify([], EMPTY).ok
    assert verify([]).head == EMPTY


@given(LOGS, st.data())
def test_any_changed_field_is_found(facts: list[tuple[str, ...]], data: st.DataObject) -> None:
    entries = chain(facts)
    where = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(COLUMNS[1:]))
    value = data.draw(CELLS)
    assume(getattr(entries[where], field) != value)
    entries[where] = entries[where]._replace(**{field: value})
    assert not verify(entries).ok


@given(LOGS, st.data())
def test_text_moved_from_one_field_to_the_next_is_found(
    facts: list[tuple[str, ...]], data: st.DataObject
) -> None:
    entries = chain(facts)
    entry = entries[-1]
    assume(entry.actor)
    moved = entry._replace(actor=entry.actor[:-1], action=entry.actor[-1] + entry.action)
    assert not verify([*entries[:-1], moved]).ok


@given(LOGS, st.data())
def test_removed_event_is_found(facts: list[tuple[str, ...]], data: st.DataObject) -> None:
    entries = chain(facts)
    where = data.draw(st.integers(0, len(entries) - 1))
    newest = head_of(entries)
    del entries[where]
    assert not verify(entries, newest).ok
    renumbered = [entry._replace(seq=n) for n, entry in enumerate(entries, start=1)]
    assert not verify(renumbered, newest).ok


@given(LOGS, FACTS, st.data())
def test_inserted_event_is_found(
    facts: list[tuple[str, ...]], more: tuple[str, ...], data: st.DataObject
) -> None:
    entries = chain(facts)
    newest = head_of(entries)
    where = data.draw(st.integers(0, len(entries) - 1))
    before = head_of(entries[:where]) if where else EMPTY
    (forged,) = chain([more], before)
    later = [entry._replace(seq=entry.seq + 1) for entry in entries[where:]]
    assume([forged, *later][: len(entries) - where] != entries[where:])
    assert not verify([*entries[:where], forged, *later], newest).ok
    assert not verify([*entries[:where], forged, *entries[where:]], newest).ok


@given(st.lists(FACTS, min_size=2, max_size=12), st.data())
def test_swapped_events_are_found(facts: list[tuple[str, ...]], data: st.DataObject) -> None:
    entries = chain(facts)
    where = data.draw(st.integers(0, len(entries) - 2))
    first, second = entries[where : where + 2]
    swapped = [*entries[:where], second, first, *entries[where + 2 :]]
    assert not verify(swapped).ok
    if first[1:9] != second[1:9]:
        numbered = [
            *entries[:where],
            second._replace(seq=first.seq),
            first._replace(seq=second.seq),
            *entries[where + 2 :],
        ]
        assert not verify(numbered).ok


@given(LOGS, st.data())
def test_cut_off_end_is_found_against_a_head(
    facts: list[tuple[str, ...]], data: st.DataObject
) -> None:
    entries = chain(facts)
    kept = data.draw(st.integers(0, len(entries) - 1))
    verdict = verify(entries[:kept], head_of(entries))
    assert "cut off" in verdict.problem
    assert verdict.events == kept


@given(LOGS, st.data())
def test_log_written_anew_is_found_against_a_head(
    facts: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Whoever computes all hashes anew makes another log, not this one."""
    entries = chain(facts)
    where = data.draw(st.integers(0, len(facts) - 1))
    other = (facts[where][0] + "x", *facts[where][1:])
    forged = chain([*facts[:where], other, *facts[where + 1 :]])
    assert verify(forged).ok
    assert "not the one first written" in verify(forged, head_of(entries)).problem


def test_each_problem_is_named() -> None:
    entries = lifelike(5)
    changed = [*entries[:2], entries[2]._replace(actor="bob@example.org"), *entries[3:]]
    assert verify(changed).problem == "event 3 was changed, or one before it"
    assert verify([*entries[:2], *entries[3:]]).problem.startswith("event 3 is missing")
    assert "event 5 was written, 3 is the last" in verify(entries[:3], head_of(entries)).problem


# Exports


@settings(max_examples=300)
@given(CELLS)
def test_cell_is_safe_and_comes_back(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert raw_cell(cell) == text
    assert cell in {text, f"'{text}"}


@settings(max_examples=100)
@given(facts=LOGS)
def test_export_is_read_back_as_it_was(
    facts: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    entries = chain(facts)
    file = tmp_path_factory.getbasetemp() / "export"
    for lines in (export_csv(entries), export_jsonl(entries)):
        file.write_text("".join(lines), encoding="utf-8", newline="")
        assert list(read(file)) == entries
        assert verify_file(file, head_of(entries)).ok


@pytest.mark.parametrize("export", [export_csv, export_jsonl])
def test_every_flipped_bit_is_found_and_none_is_made_up(export: object, tmp_path: Path) -> None:
    assert callable(export)
    entries = lifelike(40)
    whole = "".join(export(entries)).encode()
    file = tmp_path / "export"
    file.write_bytes(whole)
    newest = head_of(entries)
    assert verify_file(file).ok
    assert verify_file(file, newest).ok
    chosen = random.Random(20260303).sample(range(len(whole) * 8), 400)
    # Where a reader could be too kind: around the ends of lines.
    ends = [n for n, byte in enumerate(whole) if byte in b"\r\n"]
    chosen += [n * 8 + bit for n in (*ends[:6], *ends[-3:]) for bit in range(8)]
    missed = []
    for position in chosen:
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        file.write_bytes(flipped)
        try:
            if verify_file(file, newest).ok:
                missed.append((position, bytes(flipped[position // 8 - 20 : position // 8 + 20])))
        except ValueError:
            pass
    assert missed == []


@pytest.mark.parametrize("export", [export_csv, export_jsonl])
def test_file_cut_anywhere_is_found_against_the_head(export: object, tmp_path: Path) -> None:
    assert callable(export)
    entries = lifelike(6)
    whole = "".join(export(entries)).encode()
    file = tmp_path / "export"
    for length in range(0, len(whole.rstrip()), 7):
        file.write_bytes(whole[:length])
        with suppress(ValueError):
            assert not verify_file(file, head_of(entries)).ok, length


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"{}",
        b"{",
        b"[]",
        b'{"seq": 1}\n',
        b"\xff\xfe\0",
        b"seq,at\r\n",
        b"\0" * 100,
        (",".join(COLUMNS) + "\r\n1,2\r\n").encode(),
        (",".join(COLUMNS) + '\r\n1,"' + "\r\n").encode(),
        (",".join(COLUMNS) + "\r\nx,,,,,,,,,\r\n").encode(),
        (",".join(COLUMNS) + f"\r\n{'9' * 5000},,,,,,,,,\r\n").encode(),
    ],
)
def test_what_is_no_export_is_a_clean_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "export"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r".+"):
        verify_file(file, Head(1, "a" * 64))


@pytest.mark.parametrize("seq", [" 1", "1 ", "+1", "01", "1_0", "\x0b1", "١", "1.0", "-0"])
def test_number_has_one_way_to_be_written(tmp_path: Path, seq: str) -> None:
    whole = "".join(export_csv(lifelike(1)))
    file = tmp_path / "export.csv"
    file.write_text(whole.replace("\r\n1,", f"\r\n{seq},"), encoding="utf-8", newline="")
    with pytest.raises(ValueError, match="line 2"):
        verify_file(file)
