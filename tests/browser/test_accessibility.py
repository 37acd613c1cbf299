"""axe finds nothing on any page, in any state, light or dark, wide or narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from browser.chromium import DESKTOP, PHONE, Visit
from browser.places import Place, Stage
from live.fixtures import IS_FULL, live_portal

#: What is looked at stands in the pages and their styles.
pytestmark = pytest.mark.any_database

#: Style sheets are not fetched anew for each look: no rule that is used reads their text.
EVERYTHING = {"resultTypes": ["violations"], "preload": {"assets": ["media"]}}
#: Colours alone differ between light and dark.
COLOURS = {**EVERYTHING, "runOnly": ["color-contrast"]}


@pytest.fixture(scope="module")
def found(
    chromium: Browser, module_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[str]]]:
    """What is wrong with each place, by its name."""
    with live_portal(module_database, **Stage.settings()) as portal:
        portal.start()
        stranger = Visit(chromium, portal, bypass_csp=True)
        wrong = {place.name: _look(stranger, place) for place in Stage.setting_up(portal)}
        stage = Stage(portal, tmp_path_factory.mktemp("large"))
        visits = {
            email: Visit(chromium, portal, bypass_csp=True).be(client)
            for email, client in stage.clients.items()
        }
        for place in stage.places():
            wrong[place.name] = _look(visits.get(place.who, stranger), place)
            if not place.who:
                stranger.context.clear_cookies()
        for visit in (stranger, *visits.values()):
            visit.close()
        yield wrong


def _look(visit: Visit, place: Place) -> list[str]:
    page = visit.page
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(place.path)
    place.act(page)
    page.evaluate(AXE_SCRIPT)
    wrong = []
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            rules = EVERYTHING if scheme == "light" or IS_FULL else COLOURS
            where = f"{size['width']} {scheme}"
            wrong += [f"{where}: {each}" for each in _violations(page, rules)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"{size['width']}: the page is wider than the window")
    wrong += visit.complaints
    visit.complaints.clear()
    return wrong


def _violations(page: Page, rules: dict[str, object]) -> list[str]:
    answer = page.evaluate("rules => axe.run(rules)", rules)
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in answer["violations"]
        for node in each["nodes"]
    ]


def test_axe_finds_nothing_on_any_page(found: dict[str, list[str]]) -> None:
    assert len(found) > 40
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_page_has_a_place_in_this_test() -> None:
    """A new template without a place would never be looked at."""
    templates = Path(__file__).resolve().parents[2] / "templates"
    pages = {
        str(path.relative_to(templates))
        for path in templates.rglob("*.html")
        if "{% extends 'base" in path.read_text("utf-8") and "/" in str(path.relative_to(templates))
    }
    assert pages == {
        "accounts/account.html",
        "accounts/activity.html",
        "accounts/deletion.html",
        "accounts/email_change.html",
        "accounts/forgot_password.html",
        "accounts/invitation.html",
        "accounts/login.html",
        "accounts/own_data.html",
        "accounts/passkeys.html",
        "accounts/prove.html",
        "accounts/reset_password.html",
        "accounts/second_step.html",
        "accounts/sessions.html",
        "accounts/setup.html",
        "accounts/tokens.html",
        "accounts/two_factor.html",
        "admin/audit.html",
        "admin/holds.html",
        "admin/mail.html",
        "admin/overview.html",
        "admin/retention.html",
        "admin/settings.html",
        "admin/share_links.html",
        "admin/user.html",
        "admin/user_documents.html",
        "admin/users.html",
        "documents/folder_form.html",
        "documents/list.html",
        "documents/move.html",
        "documents/retention.html",
        "documents/show.html",
        "documents/trash.html",
        "errors/error.html",
        "previews/show.html",
        "sharing/created.html",
        "sharing/gone.html",
        "sharing/index.html",
        "sharing/landing.html",
        "sharing/several.html",
        "sharing/several_created.html",
    }


def test_axe_would_notice(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content(
        '<html lang="en"><title>x</title><main><h1>x</h1><img src="data:,">'
        '<p style="color: #ccc; background: #fff">hard to read</p></main>'
    )
    page.evaluate(AXE_SCRIPT)
    found = {each.partition(":")[0] for each in _violations(page, EVERYTHING)}
    page.close()
    assert found == {"image-alt", "color-contrast"}
