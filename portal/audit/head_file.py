"""The newest head of the audit log, kept outside the database."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from portal.audit.chain import EMPTY, Head

log = logging.getLogger(__name__)


class HeadFile:
    """The newest head, outside the database, so that a cut-off end is noticed.

    Written in place after each commit and shorter than a disk sector: it is never torn, and
    after a power loss at worst a little older than the log, which is no false alarm.
    """

    _LENGTH = 128
    _CUT = b'"cut"'

    def __init__(self, path: Path) -> None:
        self.path = path
        #: The content seen or written last, and what it says.
        self._last = (b"", EMPTY)

    def keep(self, head: Head) -> None:
        """Remember `head` unless a newer one is remembered already."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            content = os.pread(descriptor, self._LENGTH, 0)
            if self._parse(content).seq < head.seq and self._CUT not in content:
                self._write(descriptor, {"seq": head.seq, "hash": head.hash})
        finally:
            os.close(descriptor)

    def beware(self, head: Head) -> None:
        """Compare with `head`, the database's newest, before an event is added to it.

        Nobody else adds one at this moment, and a head is remembered only after its commit: a
        log that does not reach the remembered one was cut off or replaced. That one is
        then remembered for good, or a log that grows again would hide it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            content = os.pread(descriptor, self._LENGTH, 0)
        finally:
            os.close(descriptor)
        known = self._parse(content)
        lost = known.seq > head.seq or (known.seq == head.seq and known.hash != head.hash)
        if lost and self._CUT not in content:
            log.error("the audit log lost events: %d was written, %d is there", known.seq, head.seq)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                self._write(descriptor, {"seq": known.seq, "hash": known.hash, "cut": head.seq})
            finally:
                os.close(descriptor)

    @property
    def is_cut(self) -> bool:
        """Whether the log once lost events."""
        try:
            return self._CUT in self.path.read_bytes()
        except FileNotFoundError:
            return False

    def _write(self, descriptor: int, record: dict[str, object]) -> None:
        content = json.dumps(record).ljust(self._LENGTH - 1).encode() + b"\n"
        os.pwrite(descriptor, content, 0)

    def read(self) -> Head:
        """The head as remembered; `EMPTY` where nothing was written yet."""
        try:
            return self._parse(self.path.read_bytes())
        except FileNotFoundError:
            return EMPTY

    def _parse(self, content: bytes) -> Head:
        last_content, last_head = self._last  # every commit looks at the same content twice
        if content == last_content:
            return last_head
        # A power loss can leave zeros where nothing was written yet.
        if not content.strip(b"\0 \t\r\n"):
            return EMPTY
        try:
            record = json.loads(content)
            head = Head(int(record["seq"]), str(record["hash"]))
            self._last = content, head
            return head
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("audit-head.json does not hold the head of a log") from error
