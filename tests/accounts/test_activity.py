"""The page of one's activity: sign-ins, and what was done with one's documents."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, text

from conftest import PASSWORD, Browser, Cast, user_named
from portal import audit
from portal.accounts import deletion, people
from portal.audit import reading
from portal.database import is_sqlite, transaction
from portal.extensions import db
from portal.models import AuditEvent, User, utcnow
from stage import database_dump, settings_of

ALICE, BOB = "alice@example.org", "bob@example.org"
PATH = "/account/activity"
SIZE = reading.PAGE_SIZE


def lines_of(page: str) -> list[str]:
    """What the page says, line by line, as plain text."""
    timeline = page.partition('<ol class="timeline">')[2].partition("</ol>")[0]
    found = (re.sub(r"<[^>]+>", "", line) for line in timeline.split("<li>")[1:])
    return [" ".join(line.split()) for line in found]


def next_of(page: str) -> str | None:
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return found.group(1).replace("&amp;", "&") if found else None


def note(app: Flask, count: int, owner: str, start: int = 0) -> None:
    """Let so many things have been done with somebody's documents."""
    with app.app_context(), transaction():
        for number in range(start, start + count):
            audit.record(audit.Action.RENAMED, owner=owner, old_name="a", name=f"no. {number}.")


def test_sign_ins_and_what_was_done_by_me_and_by_others(
    app: Flask, alice: Browser, ada: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="For the bank")
    visitor.get(visitor.client.post(f"{link['path']}/download").location)
    ada.get(f"/admin/users/{user_named(app, ALICE).public_id}/documents")
    visitor.sign_in(ALICE, "wrong wrong wrong")
    newest_first = lines_of(alice.get(PATH).text)
    assert [line.rpartition(" · ")[0].partition("21 ")[0] != "" for line in newest_first]
    told = [
        ("A sign-in as alice@example.org was refused", "somebody without an account"),
        ("Looked at the list of documents of alice@example.org", "ada@example.org"),
        ("Downloaded “deed.pdf” through the link “For the bank”", "somebody without an account"),
        ("Started a download of “deed.pdf”", "somebody without an account"),
        ("Made a link “For the bank” for “deed.pdf”", "you"),
        ("Uploaded “deed.pdf”", "you"),
        ("Signed in", "you"),
        ("Made an account for alice@example.org", ""),
    ]
    assert len(newest_first) == len(told)
    for line, (what, who) in zip(newest_first, told, strict=True):
        assert line.startswith(what)
        assert f" · {who}" in line
    assert "Unknown browser, 127.0.0.1" in newest_first[0]
    assert "Unknown browser, 127.0.0.1" in newest_first[6]
    assert "127.0.0.1" not in newest_first[1]
    assert "127.0.0.1" not in newest_first[2]


def test_what_others_did_elsewhere_is_never_shown(
    alice: Browser, bob: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    secret = bob.upload("Bob's secret.txt", b"secret")
    bob.share(secret, label="Bob's link")
    alice.get(secret["url"])
    bob.get(deed["url"])
    ada.post("/admin/users", {"email": "carol@example.org", "role": "user"})
    page = alice.get(PATH).text
    for words in ("secret", "bob@", "carol@", "Bob"):
        assert words not in page
    assert "deed.pdf" not in bob.get(PATH).text
    assert "alice@" not in bob.get(PATH).text


def test_looking_changes_nothing(app: Flask, alice: Browser) -> None:
    before = database_dump(app)
    assert alice.get(PATH).status_code == 200
    assert database_dump(app) == before


def test_visitor_is_sent_to_sign_in(visitor: Browser) -> None:
    assert visitor.get(PATH).location == "/login?next=%2Faccount%2Factivity"


def test_pages_follow_each_other_without_a_gap(app: Flask, alice: Browser, bob: Browser) -> None:
    for start in range(0, 250, 50):
        note(app, 50, ALICE, start)
        note(app, 7, BOB, start)
    seen: list[str] = []
    url: str | None = PATH
    pages = 0
    while url:
        page = alice.get(url).text
        seen += re.findall(r"to “no\. (\d+)\.”", page)
        assert ("Back to the start" in page) == (pages > 0)
        url, pages = next_of(page), pages + 1
        note(app, 3, ALICE, 1000)  # what comes meanwhile moves nothing
    assert seen == [str(number) for number in reversed(range(250))]
    assert pages == 3


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_last_page_has_no_next_one(app: Flask, alice: Browser, extra: int) -> None:
    note(app, SIZE - 2 + extra, ALICE)  # and two events of the account's beginning
    assert (next_of(alice.get(PATH).text) is not None) == (extra > 0)


def test_address_of_a_page_tells_no_number(app: Flask, alice: Browser, bob: Browser) -> None:
    note(app, SIZE + 50, ALICE)
    url = next_of(alice.get(PATH).text)
    assert url
    cursor = url.partition("cursor=")[2]
    assert len(cursor) > 80
    assert "alice" not in bob.get(url).text  # a cursor grants nothing


@pytest.mark.parametrize("cursor", ["1", "x", "é", "\0", "a" * 2000, "gAAAAABnone"])
def test_made_up_cursor_is_refused(alice: Browser, cursor: str) -> None:
    assert alice.get(PATH, query_string={"cursor": cursor}).status_code == 400


def test_next_person_of_an_address_sees_nothing_of_the_one_before(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    with app.app_context():
        user = people.by_email(ALICE)
        with transaction():
            user.deletion_asked_at = utcnow() - deletion.GRACE
        deletion.delete_for_ever(user)
    again = Cast(app).person(ALICE, "Another Alice")
    page = again.get(PATH).text
    assert "deed.pdf" not in page
    assert len(lines_of(page)) == 2  # made, signed in


def test_whoever_takes_over_an_address_sees_only_what_is_their_own(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    """Alice moves to another address, and Bob to the one she has left."""
    bob.upload("Bob's plan.txt", b"plan")
    move(app, ALICE, "archer@example.org")
    alice.upload("After the move.txt", b"x")
    move(app, BOB, ALICE)
    bob.upload("Bob's second.txt", b"y")
    hers = lines_of(alice.get(PATH).text)
    assert [line.partition(" · ")[0].split(" 2")[0] for line in hers] != []
    hers_text, his_text = "\n".join(hers), "\n".join(lines_of(bob.get(PATH).text))
    for name in ("deed.pdf", "After the move.txt"):
        assert name in hers_text
        assert name not in his_text
    for name in ("Bob's plan.txt", "Bob's second.txt"):
        name = name.replace("'", "&#39;")
        assert name in his_text
        assert name not in hers_text
    assert hers_text.count("Changed their address") == his_text.count("Changed their address") == 1


def move(app: Flask, old: str, new: str) -> None:
    with app.app_context(), transaction() as session:
        user = people.by_email(old)
        user.email = new
        session.flush()
        audit.record(audit.Action.EMAIL_CHANGED, actor=old, owner=new, old_email=old)


def test_pages_go_on_across_a_change_of_address(app: Flask, alice: Browser) -> None:
    note(app, 130, ALICE)
    move(app, ALICE, "archer@example.org")
    note(app, 130, "archer@example.org", 130)
    seen: list[str] = []
    url: str | None = PATH
    while url:
        page = alice.get(url).text
        seen += re.findall(r"to “no\. (\d+)\.”", page)
        url = next_of(page)
    assert seen == [str(number) for number in reversed(range(260))]


def test_page_costs_the_same_however_long_the_log_is(app: Flask, alice: Browser) -> None:
    """Every question it asks of the log is answered from an index that leads straight to it."""
    with app.app_context():
        facts = {"at": utcnow(), "actor": "x", "action": "document.renamed", "document": ""}
        facts |= {"address": "", "user_agent": "", "detail": "{}", "hash": ""}
        rows = [
            # Hers came first: whoever walks back through all the others' has a long way.
            {**facts, "seq": 1000 + n, "owner": ALICE if n < 2000 else f"p{n % 9}@example.org"}
            for n in range(20_000)
        ]
        with transaction() as session:
            session.connection().execute(insert(AuditEvent), rows)
            session.connection().execute(text("ANALYZE"))
        user = people.by_email(ALICE)
        asked: list[tuple[str, Any]] = []

        def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "audit_events" in statement and not statement.startswith("EXPLAIN"):
                asked.append((statement, parameters))

        event.listen(db.engine, "before_cursor_execute", listen)
        for before in (None, 2500):
            lines, older = reading.activity_of_account(user.email, user.created_at, before)
            assert len(lines) == SIZE
            assert older
        event.remove(db.engine, "before_cursor_execute", listen)
        assert len(asked) == 6
        for statement, parameters in asked:
            assert cost(statement, parameters) <= 3 * SIZE, statement
    assert alice.get(PATH).status_code == 200


def cost(statement: str, parameters: Any) -> int:
    """How many rows the database looked at; on SQLite, whether it would walk or sort at all."""
    connection = db.session.connection()
    if is_sqlite():
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        steps = "\n".join(str(row[-1]) for row in plan)
        if " LIMIT " in statement and "owner" in statement.partition("WHERE")[2]:
            assert "owner=? AND seq" in steps, steps
        return 10**6 if "SCAN" in steps or "TEMP B-TREE" in steps else 0
    rows = connection.exec_driver_sql(f"EXPLAIN ANALYZE {statement}", parameters).scalars().all()
    plan_text = "\n".join(rows)
    assert "Seq Scan" not in plan_text, plan_text
    removed = re.findall(r"Rows Removed by Filter: (\d+)", plan_text)
    actual = re.findall(r"actual time=\S+ rows=([\d.]+)", plan_text)
    return int(max(float(each) for each in [*removed, *actual]))


def test_account_of_long_ago_is_asked_as_quickly(app: Flask) -> None:
    with app.app_context():
        people.create(ALICE, settings_of(app), password=PASSWORD)
        user = db.session.query(User).one()
        assert [line.action for line in reading.activity_of_account(ALICE, user.created_at)[0]] == [
            "user.created"
        ]
        assert reading.activity_of_account(ALICE, utcnow()) == ([], None)
