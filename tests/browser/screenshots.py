"""Pictures of every page, wide and narrow, light and dark, for looking at them.

`python -m tests.browser.screenshots DIRECTORY [NAME …]`; with `--readme` only the picture of
the list that the README shows, `documents.png`.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser.chromium import DESKTOP, PHONE, Visit, executable, launched
from browser.places import ALICE, Place, Stage
from live.fixtures import live_portal
from live.running import LivePortal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", help="places; all without any")
    parser.add_argument("--readme", action="store_true", help="the picture of the README only")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    path = executable()
    if path is None:
        sys.exit("Chromium is missing: apt-get install chromium")

    def take(visit: Visit, place: Place) -> None:
        if not options.names or place.name in options.names:
            _take(visit, place, options.directory)
        visit.close()

    with (
        launched(path) as browser,
        live_portal(**Stage.settings()) as portal,
        tempfile.TemporaryDirectory() as folder,
    ):
        portal.start()
        if options.readme:
            stage = Stage(portal, Path(folder))
            _age(portal)
            visit = Visit(browser, portal, viewport={"width": 1240, "height": 775})
            visit.be(stage.clients[ALICE]).go("/documents").mouse.move(640, 290)
            visit.page.screenshot(path=options.directory / "documents.png")
            visit.close()
            return 0
        for place in Stage.setting_up(portal):
            take(Visit(browser, portal), place)
        stage = Stage(portal, Path(folder))
        for place in stage.places():
            visit = Visit(browser, portal)
            take(visit.be(stage.clients[place.who]) if place.who else visit, place)
    return 0


def _age(portal: LivePortal) -> None:
    """Let the documents have come over the last months, the statement most recently."""
    with closing(sqlite3.connect(portal.instance / "portal.db")) as connection, connection:
        rows = connection.execute("SELECT id, uploaded_at FROM documents ORDER BY id DESC")
        for number, (id_, text) in enumerate(rows.fetchall()):
            moment = datetime.fromisoformat(text) - timedelta(hours=number * 41, minutes=number * 7)
            there = (moment.isoformat(sep=" ", timespec="microseconds"), id_)
            connection.execute("UPDATE documents SET uploaded_at = ? WHERE id = ?", there)


def _take(visit: Visit, place: Place, directory: Path) -> None:
    page = visit.page
    page.emulate_media(reduced_motion="reduce")
    page.goto(place.path)
    place.act(page)
    for size, shape in ((DESKTOP, "wide"), (PHONE, "narrow")):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(100)
            page.screenshot(path=directory / f"{place.name}-{shape}-{scheme}.png")


if __name__ == "__main__":
    sys.exit(main())
