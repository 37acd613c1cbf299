"""The audit log: who did what to which, when, and from where.

`record` inside a transaction, `record_alone` where nothing else changes, `record_with` for a
change that many make at once, `record_refusal` for what a stranger can cause as often as they
like. `chain` is the
arithmetic (no portal needed), `journal` writes, `reading` reads, exports and verifies.
"""

from portal.audit.actions import Action
from portal.audit.journal import Change, Origin, acting, origin, record, record_alone, record_with
from portal.audit.refusals import record_refusal

__all__ = [
    "Action",
    "Change",
    "Origin",
    "acting",
    "origin",
    "record",
    "record_alone",
    "record_refusal",
    "record_with",
]
