"""Taking turns: what many have put into one queue is done a piece of each, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

#: What is due of a queue.
Due = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Turns:
    """The columns of a queue that decide what comes next, in the order of one of its indexes."""

    #: How often it was tried: what was tried less often comes first, whoever's it is.
    tries: InstrumentedAttribute[int]
    #: Whose turn it is when it is taken; numbers above 0.
    who: InstrumentedAttribute[int]
    #: Since when it waits: of one person what waits for longest comes first.
    since: InstrumentedAttribute[Any]


def next_in_turn(session: Session, due: Due, turns: Turns, last: int) -> Any | None:
    """The row of `due` that comes next after a turn of `last`, locked; None where there is none.

    However many wait, it is found by steps through the index and nothing is sorted.
    """
    tries = _fewest(session, due, turns, -1)
    while tries is not None:
        these = due.where(turns.tries == tries).order_by(turns.who, turns.since).limit(1)
        these = these.with_for_update(of=turns.tries.class_, skip_locked=True)
        for whose in (turns.who > last, turns.who <= last):
            found = session.execute(these.where(whose)).one_or_none()
            if found is not None:
                return found
        tries = _fewest(session, due, turns, tries)  # somebody else is at all of these
    return None


def _fewest(session: Session, due: Due, turns: Turns, above: int) -> int | None:
    fewest = due.with_only_columns(turns.tries).where(turns.tries > above)
    return session.scalar(fewest.order_by(turns.tries).limit(1))
