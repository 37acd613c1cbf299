"""The portal's own worker, kept indexing texts and drawing pictures of documents."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import upload_clients
from papers import papers
from processes import ServerError
from worker import BusyWorker

if TYPE_CHECKING:
    from systems import System

#: Of each kind: more than the worker gets done before it is looked again.
_COPIES = 12
_UPLOAD_PATIENCE = 60.0
_END_PATIENCE = 120.0
_PREFIX = "paper "
_OURS = f"(SELECT id FROM documents WHERE name LIKE '{_PREFIX}%' AND trashed_at IS NULL)"
_OUR_VERSIONS = f"(SELECT id FROM versions WHERE document_id IN {_OURS})"
#: Earlier each time: the newest is read first, and what waits already is not to wait for ever.
_INDEX_AGAIN = (
    "UPDATE versions SET index_tries = 0,"
    " next_index_at = strftime('%Y-%m-%d %H:%M:%S.000000', '2020-01-01', ? || ' seconds')"
    f" WHERE next_index_at IS NULL AND document_id IN {_OURS}"
)
_DRAW_AGAIN = (
    "UPDATE preview_states SET state = 'pending', tries = 0,"
    " next_try_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    f" WHERE state = 'made' AND version_id IN {_OUR_VERSIONS}"
)
_PROBLEMS = (
    f"SELECT problem FROM search_texts WHERE problem <> '' AND document_id IN {_OURS}"
    " UNION ALL SELECT 'not drawn: ' || reason FROM preview_states"
    f" WHERE state = 'impossible' AND version_id IN {_OUR_VERSIONS}"
)


class Reading(BusyWorker):
    """Uploads documents of every kind, and has them indexed and drawn again and again."""

    def __init__(self, system: System) -> None:
        super().__init__(system.home)
        self._system = system
        self._paths: list[str] = []
        self._indexed = self._drawn = self._rounds = 0
        self._is_dry = False
        self._others: set[int] = set()

    def has_worked(self) -> bool:
        return bool(self._indexed and self._drawn)

    def figures(self) -> dict[str, float]:
        with self._database() as database:
            self._make_due(database)
            problems = [text for (text,) in database.execute(_PROBLEMS)]
        if problems:
            raise ServerError(f"the worker could not read everything: {problems[0]}")
        if self._is_dry:
            raise ServerError("the worker had nothing to do in between")
        if not self.has_worked():
            raise ServerError(
                f"the worker indexed {self._indexed} documents and drew {self._drawn} of them"
                f" in {self._seconds:.0f} s"
            )
        minutes = self._seconds / 60
        return {"indexed": self._indexed / minutes, "drawn": self._drawn / minutes}

    def _begin(self) -> None:
        self._others = self._system.server.pids()
        folder = Path(tempfile.mkdtemp(prefix="papers-", dir=self._system.home))
        try:
            for kind, data in papers().items():
                (folder / kind).write_bytes(data)
            for number in range(_COPIES):
                for file in sorted(folder.iterdir()):
                    self._upload(file, f"{_PREFIX}{number:03}.{file.name}")
        finally:
            shutil.rmtree(folder)

    def _upload(self, file: Path, name: str) -> None:
        form, size = self._system.upload(name), file.stat().st_size
        answered = upload_clients.upload(form, file, size, _UPLOAD_PATIENCE, as_it_is=True)
        self._paths.append(self._system.download_path(name, answered))

    def _count_from_here(self) -> None:
        super()._count_from_here()
        self._indexed = self._drawn = 0
        self._is_dry = False

    def _make_due(self, database: sqlite3.Connection) -> None:
        self._rounds += 1
        indexed = database.execute(_INDEX_AGAIN, (-self._rounds,)).rowcount
        drawn = database.execute(_DRAW_AGAIN).rowcount
        self._indexed += indexed
        self._drawn += drawn
        self._is_dry |= indexed == len(self._paths)

    def _end(self) -> None:
        self._system.discard(self._paths, set())
        give_up = time.monotonic() + _END_PATIENCE
        while self._system.server.pids() - self._others:
            if time.monotonic() > give_up:
                raise ServerError("the worker did not end what it had begun")
            time.sleep(0.2)
