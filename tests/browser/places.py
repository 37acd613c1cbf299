"""Every page in every state worth looking at, on a portal with lifelike content."""

from __future__ import annotations

import base64
import contextlib
import random
import re
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
from playwright.sync_api import CDPSession, Error, Page

from live.client import Bytes, Client
from live.real_files import docx, jpeg, mp4, pdf, png, xlsx, zipped
from live.running import PASSWORD, LivePortal

ALICE, BOB, ADA = "alice@example.org", "bob@example.org", "ada@example.org"
CAROL, DAVE = "carol@example.org", "dave@example.org"
#: Has an authenticator app.
ERIC = "eric@example.org"
SITE = "Archer & Partners"
#: With this limit a small file is large enough to be refused.
MAX_UPLOAD = 3_000_000


@dataclass(frozen=True)
class Place:
    """A page as somebody sees it: how it is called, who looks, and how one gets there."""

    name: str
    who: str
    path: str
    #: What is done on the page, once it is there.
    act: Callable[[Page], None] = field(default=lambda _page: None)


class Stage:
    """A portal filled with people, documents and links, and the places in it."""

    def __init__(self, portal: LivePortal, folder: Path) -> None:
        self.portal = portal
        self.clients: dict[str, Client] = {}
        self._invited = 0
        #: Whoever slows a page down slows down whatever it sends later.
        self._slowing: CDPSession | None = None
        #: For a file that is too large.
        self.large = folder / "holiday film.mp4"
        self.large.write_bytes(bytes(MAX_UPLOAD + 1000))
        self._folder = folder
        self._fill()

    @staticmethod
    def settings() -> dict[str, str]:
        return {"PORTAL_MAX_UPLOAD_BYTES": str(MAX_UPLOAD), "PORTAL_SITE_NAME": SITE}

    @staticmethod
    def setting_up(portal: LivePortal) -> list[Place]:
        """The places that are there only before the first account."""
        path = portal.setup_link().removeprefix(portal.url)

        def submit(page: Page) -> None:
            page.get_by_role("button", name="Make the account").click()
            page.wait_for_selector(".wrong")

        return [Place("setup", "", path), Place("setup-wrong", "", path, submit)]

    def places(self) -> list[Place]:
        deed, ada = self.documents["deed"], self.people
        keeping = f"/admin/users/{ada[ALICE]}/retention"
        folder = f"/folders/{self.folder}/retention"
        return [
            *self._for_visitors(),
            Place("documents", ALICE, "/documents"),
            Place("documents-sorted", ALICE, "/documents?sort=size&order=desc"),
            Place("documents-search", ALICE, "/documents?q=2026"),
            Place("documents-nothing-found", ALICE, "/documents?q=unicorn"),
            Place("documents-menu", ALICE, "/documents", _open_account_menu),
            Place("documents-drop", ALICE, "/documents", _drag),
            Place("documents-too-large", ALICE, "/documents", self._choose_too_large),
            Place("documents-uploading", ALICE, "/documents", self._upload_slowly),
            Place("documents-same-name", ALICE, "/documents", self._upload_again),
            Place("documents-selected", ALICE, "/documents", _select),
            Place("documents-shortcuts", ALICE, "/documents", _open_shortcuts),
            Place("documents-details", ALICE, "/documents", _open_details),
            Place("documents-details-several", ALICE, "/documents", _details_of_several),
            Place("documents-details-grid", ALICE, "/documents?view=grid", _details_in_grid),
            Place("share-several", ALICE, "/documents", _share_several),
            Place("share-several-created", ALICE, "/documents", _make_several_links),
            Place("documents-deleted", BOB, "/documents", self._delete),
            Place("documents-empty", CAROL, "/documents"),
            Place("documents-grid", ALICE, "/documents?view=grid"),
            Place("documents-new-folder", ALICE, "/documents", _open_new_folder),
            Place("documents-folder-there", ALICE, "/documents", _folder_there),
            Place("folder", ALICE, self.folders["repairs"]),
            Place("folder-menu", ALICE, self.folders["repairs"], _open_folder_menu),
            Place("folder-empty", ALICE, self.folders["empty"]),
            Place("folder-rename", ALICE, f"/folders/{self.folder_id}/rename"),
            Place("folder-move", ALICE, f"/folders/{self.folder_id}/move"),
            Place("folder-deleted", BOB, "/documents", self._delete_folder),
            Place("document-move", ALICE, f"{deed}/move"),
            Place("document", ALICE, deed),
            Place("document-picture", ALICE, self.documents["picture"], _await_picture),
            Place("preview-page", ALICE, f"{deed}/preview?page=2"),
            Place("preview-text", ALICE, f"{self.documents['text']}/preview"),
            Place("preview-none", ALICE, f"{self.documents['film']}/preview"),
            Place("document-with-note", ALICE, self.documents["statement"]),
            Place("document-rename", ALICE, deed, _open_rename),
            Place("document-more", ALICE, deed, _open_more),
            Place("document-versions", ALICE, self.documents["drafts"], _open_versions),
            Place("document-version-tray", ALICE, self.documents["drafts"], self._send_version),
            Place("document-version-wrong", ALICE, self.documents["drafts"], self._post_version),
            Place("document-damaged", ALICE, self.documents["cellar"]),
            Place("document-wrong-link", ALICE, deed, _wrong_link),
            Place("document-long-name", ALICE, self.documents["long"]),
            Place("document-arabic", ALICE, self.documents["arabic"]),
            Place("link-created", ALICE, self.documents["plan"], _make_link),
            Place("links", ALICE, "/share-links"),
            Place("links-ticked", ALICE, "/share-links", _tick),
            Place("links-empty", CAROL, "/share-links"),
            Place("document-held", ALICE, self.documents["text"]),
            Place("folder-retention", ALICE, folder),
            Place("folder-retention-wrong", ALICE, folder, _wrong_days),
            Place("trash", ALICE, "/trash"),
            Place("trash-confirm", ALICE, "/trash", _confirm_empty),
            Place("trash-empty", CAROL, "/trash"),
            Place("account", ALICE, "/account"),
            Place("account-email-wanted", CAROL, "/account"),
            Place("account-wrong", ALICE, "/account", _wrong_password),
            Place("account-weak", ALICE, "/account", _type_password("password1234")),
            Place("account-strong", ALICE, "/account", _type_password("five loud rivers bend")),
            Place("sessions", ALICE, "/account/sessions"),
            Place("sessions-confirm", ALICE, "/account/sessions", _confirm_others),
            Place("activity", ALICE, "/account/activity"),
            Place("own-data", ALICE, "/account/data"),
            Place("deletion", ALICE, "/account/delete"),
            Place("deletion-wrong", ALICE, "/account/delete", _wrong_deletion),
            Place("deletion-asked", BOB, "/account/delete"),
            Place("tokens", ALICE, "/account/tokens"),
            Place("tokens-wrong", ALICE, "/account/tokens", _wrong_token),
            Place("tokens-made", ADA, "/account/tokens", _make_token),
            Place("tokens-empty", CAROL, "/account/tokens"),
            Place("two-factor", ALICE, "/account/two-factor"),
            Place("two-factor-wrong", ALICE, "/account/two-factor", _wrong_code),
            Place("two-factor-on", ERIC, "/account/two-factor"),
            Place("two-factor-codes", ERIC, "/account/two-factor", _new_codes),
            Place("passkeys-elsewhere", ALICE, "/account/passkeys"),
            Place("prove", ERIC, "/account/prove"),
            Place("prove-wrong", ALICE, "/account/prove", _wrong_proof),
            Place("error-404", ALICE, "/documents/00000000-0000-4000-8000-000000000000"),
            Place("error-405", ALICE, "/logout"),
            Place("error-413", BOB, "/documents", self._post_too_large),
            Place("admin-overview", ADA, "/admin"),
            Place("admin-overview-table", ADA, "/admin", _open_table),
            Place("admin-people", ADA, "/admin/users"),
            Place("admin-invite", ADA, "/admin/users", _wrong_invitation),
            Place("admin-invited", ADA, "/admin/users", self._invite),
            Place("admin-person", ADA, f"/admin/users/{ada[ALICE]}"),
            Place("admin-person-confirm", ADA, f"/admin/users/{ada[ALICE]}", _confirm_disable),
            Place("admin-person-leaving", ADA, f"/admin/users/{ada[BOB]}"),
            Place("admin-person-disabled", ADA, f"/admin/users/{ada[DAVE]}"),
            Place("admin-retention", ADA, keeping),
            Place("admin-retention-none", ADA, f"/admin/users/{ada[CAROL]}/retention"),
            Place(
                "admin-retention-wrong", ADA, f"/admin/users/{ada[ALICE]}/retention", _wrong_rule
            ),
            Place("admin-hold-wrong", ADA, self._to_hold(), _wrong_hold),
            Place("admin-holds", ADA, "/admin/holds"),
            Place("admin-holds-release", ADA, "/admin/holds", _open_release),
            Place("admin-upload-for", ADA, f"/admin/users/{ada[ALICE]}/documents"),
            Place("admin-upload-for-empty", ADA, f"/admin/users/{ada[CAROL]}/documents"),
            Place("admin-links", ADA, "/admin/share-links"),
            Place("admin-settings", ADA, "/admin/settings"),
            Place("admin-person-two-factor", ADA, f"/admin/users/{ada[ERIC]}"),
            Place("admin-mail", ADA, "/admin/mail"),
            Place("admin-audit", ADA, "/admin/audit"),
            Place("admin-audit-nothing", ADA, "/admin/audit?actor=nobody@example.org"),
            Place("admin-audit-wrong", ADA, "/admin/audit?since=yesterday"),
        ]

    # -- Content -------------------------------------------------------------------------------

    def _fill(self) -> None:
        portal = self.portal
        ada = portal.set_up()
        for email, name in [
            (ALICE, "Alice Archer"),
            (BOB, "Bob Baker"),
            (CAROL, "Carol Carter"),
            (DAVE, "Dave Dyer"),
            (ERIC, "Eric Ellis"),
        ]:
            portal.invite(ada, email, name)
        erin = {"email": "erin@example.org", "name": "Erin Eliot", "role": "user"}
        invited = ada.post_json("/admin/users", erin)
        self.invitation = invited["invitation_url"].removeprefix(portal.url)
        alice, bob = portal.client(ALICE), portal.client(BOB)
        self.clients = {ADA: ada, ALICE: alice, BOB: bob, CAROL: portal.client(CAROL)}
        self.clients[ERIC] = _with_app(portal.client(ERIC))
        self.documents = self._upload(alice)
        bob.upload_one("Insurance 2026.pdf", Bytes(pdf()))
        self.bobs = bob.upload_one("Old draft.txt", Bytes(b"an old draft\n"))["url"]
        page = ada.get("/admin/users").text
        self.people = {
            email: page.rpartition(f">{email}<")[0].rpartition("/admin/users/")[2][:36]
            for email in (ALICE, BOB, CAROL, DAVE, ERIC)
        }
        dave = f"/admin/users/{self.people[DAVE]}"
        ada.post_json(dave, {"action": "disable"})
        statement = [("Statement March 2026.pdf", Bytes(_scanned("Statement", 3, 96_000)))]
        made = ada.upload(statement, f"/admin/users/{self.people[ALICE]}/documents")
        self.documents["statement"] = made.json()["documents"][0]["url"]
        self._add_versions(alice)
        self._await_previews(alice, "deed", "text", "picture")
        self._damage(alice)
        self._share(alice)
        self._keep(ada)
        for _ in range(2):
            portal.client(ALICE)
        bob.post("/account/delete", {"action": "ask", "password": PASSWORD})
        self._make_tokens(alice)
        wish = {"new_email": "carter@example.com", "current_password": PASSWORD}
        self.clients[CAROL].post_json("/account/email", wish)
        carol = f"/admin/users/{self.people[CAROL]}"
        ada.post_json(carol, {"action": "reset-password"})

    def _add_versions(self, alice: Client) -> None:
        url = alice.upload_one("Letter to the bank.docx", Bytes(docx()))["url"]
        for words in ("a second draft", "a third draft"):
            alice.upload([("Letter.txt", Bytes(words.encode()))], f"{url}/versions")
        self.documents["drafts"] = url

    def _damage(self, alice: Client) -> None:
        """Change a stored file behind the portal's back, and have that found."""
        before = set(self.portal.files.glob("*/*"))
        content = b"The cellar is dry.\n"
        self.documents["cellar"] = alice.upload_one("Cellar.txt", Bytes(content))["url"]
        alice.upload([("Cellar.txt", Bytes(b"dry"))], f"{self.documents['cellar']}/versions")
        for file in set(self.portal.files.glob("*/*")) - before:
            if file.is_file():
                file.write_bytes(b"x" * file.stat().st_size)
        self.portal.manage("verify", check=False)

    def _make_tokens(self, alice: Client) -> None:
        for name, kind, scopes in (
            ("Laptop", "app-password", ("documents:read", "documents:write")),
            ("Scanner in the hall", "token", ("documents:write",)),
            ("Backup at home", "token", ("documents:read", "documents:write", "shares:write")),
        ):
            fields = [("action", "create"), ("name", name), ("kind", kind), ("days", "90")]
            fields += [("scope", scope) for scope in scopes]
            made = alice.post_json("/account/tokens", fields)
        bearer = f"Bearer {made['token']}"
        self.portal.visitor().get("/documents", authorization=bearer)

    def _keep(self, ada: Client) -> None:
        """Rules for Alice, and holds on documents of hers: one live, one in the trash."""
        page = f"/admin/users/{self.people[ALICE]}/retention"
        self.folder = self.clients[ALICE].post_json("/folders", {"name": "Taxes"})["id"]
        kept = {"folder": self.folder, "keep_days": "3650", "keep_until": "2090-01-01"}
        ada.post_json(page, {"action": "save-rule", **kept})
        rule = {"folder": "", "keep_days": "", "keep_until": "", "delete_after_days": "3650"}
        ada.post_json(page, {"action": "save-rule", **rule})
        trash = self.clients[ALICE].get("/trash", accept="application/json").json()
        trashed = trash["documents"][0]["id"]
        for document in (self.documents["text"].rpartition("/")[2], trashed):
            reason = "Case 17 of the district court: keep until it is decided."
            ada.post_json(page, {"action": "place-hold", "document": document, "reason": reason})

    def _to_hold(self) -> str:
        deed = self.documents["deed"].rpartition("/")[2]
        return f"/admin/users/{self.people[ALICE]}/retention?document={deed}"

    def _await_previews(self, alice: Client, *keys: str) -> None:
        """Wait until the worker has drawn some of the documents."""
        until = time.monotonic() + 120
        for key in keys:
            while self._preview(alice, key)["state"] != "made":
                assert time.monotonic() < until, f"no preview of {key}"
                time.sleep(0.5)

    def _preview(self, alice: Client, key: str) -> Any:
        return alice.get(f"{self.documents[key]}/preview", accept="application/json").json()

    def _mailed(self, kind: str) -> str:
        """The address in a mail of that kind, as it lies in the outbox."""
        newest = max((self.portal.instance / "outbox").glob(f"*-{kind}-*.eml"))
        found = re.search(rf"{self.portal.url}(\S+/\S+)", newest.read_text("utf-8"))
        assert found
        return found[1]

    def _upload(self, alice: Client) -> dict[str, str]:
        noise = Bytes(mp4(4))
        decomposed = unicodedata.normalize("NFD", "Résumé Zoë Müller.pdf")
        named = {
            "long": ("Minutes of the general meeting of all owners " * 5 + "final.docx", docx()),
            "arabic": ("عقد إيجار الشقة ٢٠٢٦.pdf", pdf()),
            "japanese": ("賃貸借契約書（署名済み）.pdf", _scanned("Lease", 12, 840_000)),
            "archive": (
                "Photos of the flat.zip",
                zipped({"kitchen.jpg": "x" * 90_000}) + bytes(2_400_000),
            ),
            "text": ("notes.txt", b"Call the notary about the survey.\n"),
            "film": ("Walk through the house.mp4", noise.data),
            "budget": ("Budget 2026.xlsx", xlsx()),
            "minutes": ("Minutes 3 March 2026.docx", docx(_minutes())),
            "picture": ("Passport – Alice Archer.png", png(640, 400)),
            "photo": ("Front door.jpg", jpeg() + random.Random(2).randbytes(1_740_000)),
            "cv": (decomposed, _scanned("CV", 2, 212_000)),
            "plan": ("Floor plan, ground floor.pdf", _scanned("Plan", 4, 1_310_000)),
            "tax": ("Tax return 2025.pdf", _scanned("Tax return", 30, 468_000)),
            "deed": ("Deed of the house.pdf", _scanned("Deed", 8, 2_140_000)),
        }
        urls = {}
        for key, (name, data) in named.items():
            urls[key] = alice.upload_one(name, Bytes(data))["url"]
        _upload_from_folder(alice, "Boiler.pdf", "Household/Repairs 2026", pdf())
        household = alice.get("/documents", accept="application/json").json()["folders"][0]
        inside = alice.get(household["url"], accept="application/json").json()["folders"][0]
        empty = alice.post_json("/folders", {"name": "Insurance", "parent": household["id"]})
        self.folder_id = inside["id"]
        self.folders = {"repairs": inside["url"], "empty": empty["url"]}
        gone = alice.post_json("/folders", {"name": "Old flat"})
        alice.post_json(f"/folders/{gone['id']}/delete")
        for number in range(1, 4):
            url = alice.upload_one(f"Draft {number}.docx", Bytes(docx()))["url"]
            alice.post_json(f"{url}/delete")
        return urls

    def _share(self, alice: Client) -> None:
        deed, tax = self.documents["deed"], self.documents["tax"]

        def link(document: str, **terms: str) -> str:
            terms = {"expires_in_days": "7", **terms}
            url: str = alice.post_json(f"{document}/share-links", terms)["url"]
            return url.removeprefix(self.portal.url)

        bank = link(deed, label="For the bank", max_downloads="3", expires_in_days="30")
        self.open_link = link(self.documents["japanese"], label="For the landlord")
        self.locked_link = link(tax, label="For the accountant", password="the garden gate")
        self.blocked_link = link(tax, password="the garden gate")
        used = link(self.documents["budget"], max_downloads="1", label="Once")
        self.used_link = used
        visitor = self.portal.visitor()
        for path in (bank, bank, used):
            ticket = visitor.post(f"{path}/download").location
            visitor.download(ticket)
        for _ in range(11):
            visitor.post(self.blocked_link, {"password": "a guess"})
        for _ in range(11):
            visitor.post("/login", {"email": "mallory@example.org", "password": "a guess"})
        self.clients[BOB].get(deed)

    # -- Visitors ------------------------------------------------------------------------------

    def _for_visitors(self) -> list[Place]:
        def sign_in_as(email: str) -> Callable[[Page], None]:
            def act(page: Page) -> None:
                page.get_by_label("E-mail address").fill(email)
                page.get_by_label("Password", exact=True).fill("not the password")
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_selector(".wrong, [role=alert]")

            return act

        def ask_for_mail(page: Page) -> None:
            page.get_by_label("E-mail address").fill("nobody@example.org")
            page.get_by_role("button", name="Mail me the link").click()
            page.get_by_text("Look into your mail").wait_for()

        def guess(page: Page) -> None:
            page.get_by_label("Password", exact=True).fill("a guess")
            page.get_by_role("button", name="Continue").click()
            page.wait_for_selector(".wrong, [role=alert]")

        def sign_in_half(page: Page) -> None:
            page.get_by_label("E-mail address").fill(ERIC)
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="One more step").wait_for()

        def give_wrong_code(page: Page) -> None:
            sign_in_half(page)
            page.get_by_label("Code", exact=True).fill("12")
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_selector(".wrong, [role=alert]")

        def choose_short(page: Page) -> None:
            page.get_by_label("Choose a password").fill("short")
            page.get_by_role("button", name="Open the account").click()
            page.wait_for_selector(".wrong")

        return [
            Place("sign-in", "", "/login"),
            Place("forgot-password", "", "/forgot-password"),
            Place("forgot-password-asked", "", "/forgot-password", ask_for_mail),
            Place("reset-password", "", self._mailed("reset")),
            Place("email-change", "", self._mailed("email-change")),
            Place("sign-in-wrong", "", "/login", sign_in_as("nobody@example.org")),
            Place("sign-in-429", "", "/login", sign_in_as("mallory@example.org")),
            Place("sign-in-second-step", "", "/login", sign_in_half),
            Place("sign-in-second-step-wrong", "", "/login", give_wrong_code),
            Place("invitation", "", self.invitation),
            Place("invitation-wrong", "", self.invitation, choose_short),
            Place("invitation-unknown", "", "/invitations/none"),
            Place("link", "", self.open_link),
            Place("link-password", "", self.locked_link),
            Place("link-password-wrong", "", self.locked_link, guess),
            Place("link-429", "", self.blocked_link, guess),
            Place("link-gone", "", self.used_link),
            Place("link-unknown", "", "/s/none"),
        ]

    # -- Acts ----------------------------------------------------------------------------------

    def _choose_too_large(self, page: Page) -> None:
        with page.expect_file_chooser() as chooser:
            page.locator(".page-head summary", has_text="Upload").click()
        chooser.value.set_files([self.large])
        page.locator(".tray").get_by_text("not uploaded").wait_for()

    def _choose(self, page: Page, **sizes: int) -> None:
        """Choose files of those sizes, called by their key and .pdf."""
        files = [self._folder / f"{name.replace('_', ' ')}.pdf" for name in sizes]
        for file, size in zip(files, sizes.values(), strict=True):
            file.write_bytes(_scanned(file.stem, 1, size))
        with page.expect_file_chooser() as chooser:
            page.locator(".page-head summary", has_text="Upload").click()
        chooser.value.set_files([*files, self.large])

    def _upload_slowly(self, page: Page) -> None:
        """A tray with a file in every state."""
        self._choose(page, Receipt=5_000)
        page.locator(".tray").get_by_text("1 uploaded, 1 not").wait_for()
        self._slow_down(page)
        sizes = {"Statement_of_account": 900_000, "Deed_of_the_house": 6_000}
        sizes |= {f"Letter_{number}": 400_000 + number for number in range(1, 8)}
        self._choose(page, **sizes)
        page.get_by_role("button", name="Decide later").click()
        page.get_by_role("button", name="Pause Letter 1.pdf").click()
        page.locator(".tray").get_by_text(re.compile(r"B/s · .*left")).wait_for()

    def _at_full_speed(self) -> None:
        if self._slowing:
            with contextlib.suppress(Error):  # its page may be closed
                self._slowing.detach()
            self._slowing = None

    def _slow_down(self, page: Page) -> None:
        self._at_full_speed()
        slow = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": 40_000}
        self._slowing = page.context.new_cdp_session(page)
        self._slowing.send("Network.enable")
        self._slowing.send("Network.emulateNetworkConditions", {"offline": False, **slow})

    def _send_version(self, page: Page) -> None:
        """On the page of a document: one on its way, one that is refused."""
        self._slow_down(page)
        scan = self._folder / "Letter, scanned again.pdf"
        scan.write_bytes(_scanned("Letter", 1, 400_000))
        page.locator("summary", has_text="Upload a new version").click()
        for file in (str(self.large), str(scan)):
            page.get_by_label("Choose the file").set_input_files(file)
            page.locator("#versions").get_by_role("button", name="Upload", exact=True).click()
        page.locator(".tray").get_by_text("too large").wait_for()
        page.locator(".tray").get_by_text(re.compile(r"B/s · .*left")).wait_for()

    def _upload_again(self, page: Page) -> None:
        self._choose(page, Deed_of_the_house=6_000, Tax_return_2025=6_000)
        page.get_by_role("dialog").wait_for()

    def _post_too_large(self, page: Page) -> None:
        """The form as it goes without the script."""
        page.locator("form[data-upload]").first.evaluate("form => delete form.dataset.upload")
        page.locator("[data-upload-menu]").first.evaluate("menu => menu.open = true")
        page.get_by_label("Choose files").first.set_input_files(self.large)
        page.get_by_role("button", name="Upload", exact=True).first.click()
        page.get_by_text("was not taken").wait_for()

    def _post_version(self, page: Page) -> None:
        self._at_full_speed()
        form = page.locator("#versions form[enctype]").first
        form.evaluate("form => { form.closest('details').open = true; }")
        form.evaluate("form => delete form.dataset.upload")  # as it goes without the script
        form.get_by_label("Choose the file").set_input_files(self.large)
        # The field is a button as well, by its role.
        form.get_by_role("button", name="Upload", exact=True).click()
        page.locator("#versions .wrong, #versions [role=alert]").first.wait_for()

    def _delete(self, page: Page) -> None:
        deleted = page.get_by_role("button", name="Delete Old draft.txt")
        if not deleted.count():
            self.clients[BOB].post_json(f"{self.bobs}/restore")
            page.reload()
        deleted.click()
        page.get_by_role("button", name="Undo").wait_for()

    def _delete_folder(self, page: Page) -> None:
        self.clients[BOB].post_json("/folders", {"name": "Receipts"})
        page.reload()
        page.get_by_role("button", name="Delete the folder Receipts").click()
        page.get_by_role("button", name="Undo").wait_for()

    def _invite(self, page: Page) -> None:
        self._invited += 1
        page.get_by_text("Invite somebody").click()
        page.get_by_label("E-mail address").fill(f"frank{self._invited}@example.org")
        page.get_by_label("Name", exact=True).fill("Frank Field")
        page.get_by_role("button", name="Make the invitation").click()
        page.get_by_label("Address of the invitation").wait_for()


def _upload_from_folder(client: Client, name: str, path: str, content: bytes) -> None:
    """As the page uploads a file of a dropped folder."""
    said = {"filename": name, "path": path}
    pairs = [f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in said.items()]
    headers = {
        "Tus-Resumable": "1.0.0",
        "X-CSRFToken": client.token(),
        "Upload-Length": str(len(content)),
        "Upload-Metadata": ",".join(pairs),
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(len(content)),
    }
    made = client.request("POST", "/api/v1/uploads", [content], headers)
    assert made.status == 201, made.text


def _minutes() -> str:
    """A text too irregular to be pressed to nothing."""
    chance = random.Random(3)
    return " ".join(chance.choices(("agreed", "roof", "to be repaired", "in May"), k=20_000))


def _scanned(title: str, pages: int, size: int) -> bytes:
    """A PDF as large as one from a scanner: what comes after its end is no part of it."""
    start = pdf(title, pages)
    return start + random.Random(title).randbytes(size - len(start))


def _await_picture(page: Page) -> None:
    page.locator(".preview-sheet img").wait_for()


def _open_account_menu(page: Page) -> None:
    page.get_by_label("Your account").click()


def _drag(page: Page) -> None:
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["x"], "x.txt"));
            return transfer;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})


def _open_rename(page: Page) -> None:
    page.locator("summary", has_text="Rename").click()


def _open_new_folder(page: Page) -> None:
    page.locator("summary", has_text="New folder").click()


def _folder_there(page: Page) -> None:
    _open_new_folder(page)
    page.get_by_label("Name of the folder").fill("household")
    page.get_by_role("button", name="Make the folder").click()
    page.wait_for_selector(".wrong")


def _open_folder_menu(page: Page) -> None:
    page.locator("summary", has_text=re.compile("^Folder$")).click()


def _open_more(page: Page) -> None:
    with contextlib.suppress(Exception):
        if not page.locator("#share details.unfold").evaluate("each => each.open"):
            page.locator("summary", has_text="Make a new link").click()
    page.locator("summary", has_text="More").click()


def _wrong_link(page: Page) -> None:
    _open_more(page)
    page.locator("input[name=max_downloads]").fill("0")
    page.get_by_role("button", name="Make the link").click()
    page.wait_for_selector(".wrong")


def _make_link(page: Page) -> None:
    page.get_by_role("button", name="Make the link").click()
    page.get_by_label("Address").wait_for()


def _tick(page: Page) -> None:
    page.locator("tbody .tick[name=id]").first.check()


def _select(page: Page) -> None:
    page.locator("tbody .tick[name=id]").first.check()
    page.locator("tbody .tick[name=id]").nth(2).check()
    page.locator("[data-selection-count]", has_text="2 documents").wait_for()


def _open_shortcuts(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def _open_details(page: Page) -> None:
    """The pane, and closed again for who comes after."""
    page.get_by_role("row", name="Deed of the house.pdf").locator("td").nth(2).click()
    page.keyboard.press("i")
    page.get_by_role("complementary", name="Details").get_by_text("SHA-256").wait_for()
    page.evaluate("localStorage.clear()")


def _details_of_several(page: Page) -> None:
    _select(page)
    page.get_by_role("button", name="Details", exact=True).click()
    page.get_by_text("Size together").wait_for()
    page.evaluate("localStorage.clear()")


def _details_in_grid(page: Page) -> None:
    page.get_by_role("button", name="Details", exact=True).click()
    page.get_by_text("Click into a row").wait_for()
    page.get_by_role("link", name="Deed of the house.pdf").focus()
    page.get_by_role("complementary", name="Details").get_by_text("SHA-256").wait_for()
    page.evaluate("localStorage.clear()")


def _share_several(page: Page) -> None:
    _select(page)
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("heading", name="Share 2 documents").wait_for()


def _make_several_links(page: Page) -> None:
    _share_several(page)
    page.get_by_role("button", name="Make the links").click()
    page.get_by_role("heading", name="The links are ready").wait_for()


def _confirm_empty(page: Page) -> None:
    page.locator("summary", has_text="Empty the trash").click()


def _confirm_others(page: Page) -> None:
    page.locator("summary", has_text="Sign out all others").click()


def _wrong_deletion(page: Page) -> None:
    page.get_by_label("Your password").fill("not the password")
    page.get_by_role("button", name="Ask for my account").click()
    page.wait_for_selector(".wrong")


def _wrong_password(page: Page) -> None:
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Change the password").click()
    page.wait_for_selector(".wrong")


def _type_password(password: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_label("New password").fill(password)
        page.wait_for_selector(".strength.is-shown")

    return act


def _make_token(page: Page) -> None:
    page.locator("summary", has_text="Make a token").click()
    page.get_by_label("Name", exact=True).fill("Backup at home")
    page.get_by_label("Upload, rename and delete").check()
    page.get_by_role("button", name="Make it").click()
    page.get_by_label("Token", exact=True).wait_for()


def _wrong_token(page: Page) -> None:
    page.locator("summary", has_text="Make a token").click()
    page.get_by_label("See and download").uncheck()
    page.get_by_label("many days").fill("0")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_selector(".wrong")


def _with_app(client: Client) -> Client:
    """Turn two-factor sign-in on."""
    page = client.get("/account/two-factor").text
    secret = page.partition('id="secret"')[2].partition('value="')[2][:32]
    client.post_json("/account/two-factor", {"action": "enable", "code": pyotp.TOTP(secret).now()})
    return client


def _wrong_code(page: Page) -> None:
    page.get_by_label("Code from the app").fill("12")
    page.get_by_role("button", name="Turn on").click()
    page.wait_for_selector(".wrong")


def _new_codes(page: Page) -> None:
    page.get_by_role("button", name="Make new ones").click()
    page.locator("#recovery-codes").wait_for()


def _wrong_proof(page: Page) -> None:
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".wrong")


def _open_versions(page: Page) -> None:
    page.locator("summary", has_text="Upload a new version").click()
    page.get_by_label("Delete version 1").click()


def _open_table(page: Page) -> None:
    page.locator("summary", has_text="Show as a table").click()


def _wrong_invitation(page: Page) -> None:
    page.get_by_text("Invite somebody").click()
    page.get_by_label("E-mail address").fill("no address")
    page.get_by_role("button", name="Make the invitation").click()
    page.wait_for_selector(".wrong")


def _wrong_rule(page: Page) -> None:
    page.locator("summary", has_text="Set a rule").click()
    page.get_by_label("Keep for").fill("0")
    page.get_by_role("button", name="Save the rule").click()
    page.wait_for_selector(".wrong")


def _wrong_days(page: Page) -> None:
    page.get_by_label("Delete after").fill("0")
    page.get_by_role("button", name="Save the rule").click()
    page.wait_for_selector(".wrong")


def _wrong_hold(page: Page) -> None:
    page.locator("textarea[name=reason]").fill(" ")
    page.get_by_role("button", name="Place the hold").click()
    page.wait_for_selector(".wrong")


def _open_release(page: Page) -> None:
    page.locator("summary", has_text="Release").first.click()


def _confirm_disable(page: Page) -> None:
    page.locator("summary", has_text="Disable").click()
