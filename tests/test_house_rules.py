"""The house rules: what every module and view must keep to, whoever writes the next one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from portal import config
from portal.accounts.api_tokens import Scope
from portal.audit.actions import Action, sentence
from portal.config import Settings
from portal.gate import ADMIN_BLUEPRINTS, SAFE_METHODS

ROOT = Path(__file__).resolve().parent.parent
PORTAL = ROOT / "portal"
TEMPLATES = ROOT / "templates"

#: What a visitor may ask for. A line more here is a decision, not a detail.
PUBLIC = {
    "accounts.agree_email",
    "accounts.forgot_password",
    "accounts.invitation",
    "accounts.login",
    "accounts.passkey_options",
    "accounts.password_strength",
    "accounts.provider",
    "accounts.provider_callback",
    "accounts.reset_password",
    "accounts.second_step",
    "accounts.setup",
    "health.healthz",
    "health.readyz",
    "sharing.download",
    "sharing.file",
    "sharing.landing",
}
#: Unsafe methods without a CSRF token, and why.
WITHOUT_CSRF_TOKEN = {
    "sharing.download": "the address is the authority: only who knows it can make the request",
}
#: What a program may ask for, and the scope its token needs. Nothing else takes a token.
FOR_TOKENS = {
    "admin.audit_csv": "admin",
    "admin.share_links": "admin",
    "admin.upload_for": "admin",
    "admin.user": "admin",
    "admin.user_documents": "admin",
    "admin.users": "admin",
    "admin_retention.change": "admin",
    "admin_retention.held": "admin",
    "admin_retention.person": "admin",
    "bulk.delete_several": "documents:write",
    "bulk.restore_several": "documents:write",
    "bulk.zip_several": "documents:read",
    "documents.delete": "documents:write",
    "documents.download": "documents:read",
    "documents.empty_trash": "documents:write",
    "documents.index": "documents:read",
    "documents.purge": "documents:write",
    "documents.rename": "documents:write",
    "documents.restore": "documents:write",
    "documents.show": "documents:read",
    "documents.trash": "documents:read",
    "folders.create": "documents:write",
    "folders.delete": "documents:write",
    "folders.rename": "documents:write",
    "folders.restore": "documents:write",
    "api.abilities": "documents:write",
    "api.announce": "documents:write",
    "api.append": "documents:write",
    "api.override": "documents:write",
    "api.status": "documents:write",
    "api.terminate": "documents:write",
    "documents.add_version": "documents:write",
    "documents.upload": "documents:write",
    "moving.move_several": "documents:write",
    "moving.move_folder": "documents:write",
    "moving.move_document": "documents:write",
    "retention.decide": "documents:write",
    "retention.folder": "documents:read",
    "versions.delete": "documents:write",
    "versions.restore": "documents:write",
    "previews.page": "documents:read",
    "previews.show": "documents:read",
    "previews.thumbnail": "documents:read",
    "sharing.create": "shares:write",
    "sharing.index": "shares:write",
    "sharing.revoke": "shares:write",
    "sharing_several.create": "shares:write",
}
#: Who may ask the storage for what. Bytes leave through delivery; checks compare their hash.
STORAGE_USES = {
    "storage/delivery.py": {"read"},  # for one document, and for ZIPs
    "admin/checks.py": {"read", "free_bytes"},
    "documents/resumable.py": {"forget", "grow", "new_blob", "receive", "size_so_far"},
    "documents/room.py": {"receive"},
    "documents/uploads.py": {"remove"},
    "documents/versions.py": {"copy", "remove"},
    "documents/integrity.py": {"digest"},  # a hash comes back, and never the bytes
    "documents/housekeeping.py": {"abandoned", "blobs", "remove"},
    "health.py": {"free_bytes"},
    "previews/making.py": {"read", "receive", "remove"},  # on its way to the child that draws
    "scanning/scanner.py": {"read"},  # on its way to the scanner, and nowhere else
    "search/indexing.py": {"read"},  # on its way to a child that takes the text out
}
#: Below the views, only what stands between them and Flask may know the request.
KNOW_THE_REQUEST = {
    "cookie.py",
    "shown_once.py",  # keeps something in the browser until its page
    "answers.py",
    "documents/page.py",
    "documents/receiving.py",
    "documents/undo.py",
    "forms.py",
    "gate.py",
    "presentation.py",
}
FLASK_GLOBALS = {"abort", "current_user", "flash", "g", "request", "session"}
PRIVATE_MODELS = {
    "ApiToken",
    "AuditEvent",
    "Authenticator",
    "DiscardedBlob",
    "Document",
    "EmailChange",
    "Folder",
    "Identity",
    "Invitation",
    "KnownDevice",
    "LegalHold",
    "Mail",
    "OpenUpload",
    "Passkey",
    "PasswordReset",
    "PendingSignIn",
    "Preview",
    "PreviewState",
    "RecoveryCode",
    "RetentionRule",
    "SearchPassage",
    "SearchText",
    "Session",
    "ShareLink",
    "Version",
}


#: Who deletes rows one by one, and never those of documents.
MAY_DELETE_ROWS = {
    "accounts/email_change.py",
    "accounts/provider.py",
    "accounts/recovery.py",
    "documents/retention.py",
}


def _name(path: Path) -> str:
    return path.relative_to(PORTAL).as_posix()


SOURCES = {_name(path): ast.parse(path.read_text("utf-8")) for path in PORTAL.rglob("*.py")}
VIEWS = {
    name: tree
    for name, tree in SOURCES.items()
    if name.endswith("views.py") or "/views/" in name or name.startswith("api/")
}


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of everything a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def _called(node: ast.AST) -> str:
    """The last name of what a call calls."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _rules(app: Flask) -> list[Rule]:
    return list(app.url_map.iter_rules())


def _methods(rule: Rule) -> set[str]:
    return set(rule.methods or ()) - {"HEAD", "OPTIONS"}


def _table(page: str) -> list[list[str]]:
    """The rows of the tables of a page in docs/, cell by cell, without their heads."""
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_there_is_something_to_look_at() -> None:
    assert {"access.py", "storage/delivery.py", "documents/views.py"} <= set(SOURCES)
    assert len(VIEWS) >= 4


# Who may come in


def test_visitors_reach_the_listed_pages_and_no_others(app: Flask) -> None:
    views = app.view_functions.items()
    assert {name for name, view in views if getattr(view, "is_public", False)} == PUBLIC


def test_tokens_reach_the_listed_views_with_the_listed_scopes(app: Flask) -> None:
    scopes = {name: getattr(view, "token_scope", None) for name, view in app.view_functions.items()}
    assert {name: scope for name, scope in scopes.items() if scope} == FOR_TOKENS
    for name, scope in FOR_TOKENS.items():
        assert (scope == "admin") == (name.partition(".")[0] in ADMIN_BLUEPRINTS), name
        # A program cannot make itself a key, and what is public needs none.
        assert not name.startswith("accounts."), name
        assert name not in PUBLIC, name


def test_only_the_gate_says_what_is_public() -> None:
    for name, tree in SOURCES.items():
        marks = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        if name != "gate.py":
            assert not marks & {"is_public", "needs_no_csrf_token", "token_scope"}, name


def test_every_admin_page_is_behind_the_admins_gate(app: Flask) -> None:
    for rule in _rules(app):
        is_admins = rule.endpoint.partition(".")[0] in ADMIN_BLUEPRINTS
        assert rule.rule.startswith("/admin") == is_admins, rule.rule


def test_every_unsafe_method_needs_a_token_but_the_listed_ones(app: Flask) -> None:
    spared = set()
    for rule in _rules(app):
        view = app.view_functions[rule.endpoint]
        if getattr(view, "needs_no_csrf_token", False):
            spared.add(rule.endpoint)
            assert "GET" not in _methods(rule)
    assert spared == set(WITHOUT_CSRF_TOKEN)


def test_nothing_switches_the_tokens_off() -> None:
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            assert _called(node) != "exempt", name
            if isinstance(node, ast.Constant) and node.value == "WTF_CSRF_ENABLED":
                pytest.fail(name)
            if isinstance(node, ast.keyword) and node.arg == "WTF_CSRF_ENABLED":
                pytest.fail(name)


def test_no_address_is_counted(app: Flask) -> None:
    for rule in _rules(app):
        for converter in rule._converters.values():
            assert type(converter).__name__ in {"UUIDConverter", "UnicodeConverter"}, rule.rule


def test_views_change_nothing_on_a_safe_method(app: Flask) -> None:
    for rule in _rules(app):
        unsafe = _methods(rule) - SAFE_METHODS
        # tus, as others wrote it, has its own methods.
        takes = {"POST", "PATCH", "DELETE"} if rule.rule.startswith("/api/") else {"POST"}
        assert unsafe <= takes, rule.rule


# Who may decide


def test_only_the_door_makes_grants() -> None:
    for name, tree in SOURCES.items():
        for right in ("Grant", "Picture"):
            makes = any(_called(node) == right for node in ast.walk(tree))
            assert makes == (name == "access.py"), f"{name}: {right}"
        # A copy of a grant with another blob in it would be a grant too.
        copies = any(
            imported == "replace" or module == "copy" for module, imported in _imports(tree)
        )
        knows = any(imported in {"Grant", "Picture"} for _, imported in _imports(tree))
        assert not (copies and knows), name


def test_stored_bytes_leave_through_delivery_alone() -> None:
    for name, tree in SOURCES.items():
        for _, imported in _imports(tree):
            assert imported not in {"send_file", "send_from_directory", "safe_join"}, name
        for node in ast.walk(tree):
            assert _called(node) not in {"send_file", "send_from_directory", "send_static_file"}
            if isinstance(node, ast.keyword) and node.arg == "direct_passthrough":
                assert name == "storage/delivery.py"


def test_the_storage_is_asked_only_by_those_who_may() -> None:
    found: dict[str, set[str]] = {}
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _called(node.value) == "current":
                found.setdefault(name, set()).add(node.attr)
        bare = sum(_called(node) == "current" for node in ast.walk(tree))
        asked = sum(
            isinstance(node, ast.Attribute) and _called(node.value) == "current"
            for node in ast.walk(tree)
        )
        assert bare == asked, f"{name} keeps the storage in a variable"
        if not name.startswith("storage/"):
            imported = {what for _, what in _imports(tree)}
            assert not imported & {"LocalStorage", "LocalIncoming", "LocalGrowing"}, name
    assert found == STORAGE_USES


def test_one_function_deletes_documents_and_versions() -> None:
    """What is held or kept is asked for there: another way to delete would not ask."""
    deleting = {
        (name, function.name)
        for name, tree in SOURCES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and _called(node) == "delete"
        and any(getattr(each, "id", "") in {"Document", "Version"} for each in node.args)
    }
    assert deleting == {
        ("documents/lifecycle.py", "delete_for_ever"),
        # Older versions of one that stays; who calls it has asked `lifecycle.may_be_deleted`.
        ("documents/versions.py", "_remove"),
    }
    # A row can be deleted through its session too.
    by_session = {
        name
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if _called(node) == "delete"
        and isinstance(node, ast.Call)
        and getattr(getattr(node.func, "value", None), "id", "") == "session"
    }
    assert by_session <= MAY_DELETE_ROWS


def test_keys_to_sort_by_are_made_in_the_order_of_the_site() -> None:
    """Whoever made one by itself would put a name where nobody looks for it."""
    making = {
        name
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and _called(node) == "sort_key")
        or (isinstance(node, ast.keyword) and node.arg == "name_sort")
        or (isinstance(node, ast.Attribute) and node.attr == "name_sort" and _is_set(node))
    }
    assert making == {"documents/names.py", "documents/resorting.py"}


def _is_set(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def test_no_view_looks_for_documents_by_itself() -> None:
    for name, tree in VIEWS.items():
        imported = {what for module, what in _imports(tree) if module.startswith("portal.models")}
        assert not imported & PRIVATE_MODELS, name
        uses_database = any(what == "db" for _, what in _imports(tree))
        # The list of people is the admins' own, and shows nobody's documents.
        assert not uses_database or name == "admin/views.py", name
    assert {
        what for module, what in _imports(VIEWS["admin/views.py"]) if module == "portal.models"
    } == {"Role", "User"}


def test_below_the_views_nobody_knows_the_request() -> None:
    for name, tree in SOURCES.items():
        if name in VIEWS or name in KNOW_THE_REQUEST:
            continue
        known = {
            what
            for module, what in _imports(tree)
            if module in {"flask", "flask_login"} and what in FLASK_GLOBALS
        }
        assert not known, f"{name}: {known}"


def test_nobody_aborts() -> None:
    for name, tree in SOURCES.items():
        assert not any(what == "abort" for _, what in _imports(tree)), name


def test_nobody_writes_sql_by_hand() -> None:
    for name, tree in SOURCES.items():
        if name != "database.py":
            assert not any(what == "text" for m, what in _imports(tree) if "sqlalchemy" in m), name
            assert not any(_called(node) == "exec_driver_sql" for node in ast.walk(tree)), name


def test_nobody_prints() -> None:
    for name, tree in SOURCES.items():
        assert not any(_called(node) == "print" for node in ast.walk(tree)), name


# What is written down


def test_every_setting_is_documented_with_its_default() -> None:
    rows = {row[0].strip("`"): row[1] for row in _table("settings.md")}
    assert set(rows) == {config.PREFIX + name.upper() for name in config.PARSERS}
    defaults = {field.name: field.default for field in fields(Settings)}
    for name, parse in config.PARSERS.items():
        shown = rows[config.PREFIX + name.upper()]
        default = defaults[name]
        if isinstance(default, int):
            assert parse(shown.split()[0].strip("`")) == default, name
        elif name in {"storage_url", "log_format", "site_name"}:
            assert shown.strip("`") == default, name


def test_every_field_of_the_settings_can_be_set() -> None:
    not_settings = {"bcrypt_rounds"}
    assert {field.name for field in fields(Settings)} - not_settings == set(config.PARSERS)


def test_every_route_is_documented(app: Flask) -> None:
    def who(rule: Rule) -> str:
        if rule.endpoint in PUBLIC:
            return "public"
        is_admins = rule.endpoint.partition(".")[0] in ADMIN_BLUEPRINTS
        return "admin" if is_admins else "signed in"

    served = {
        (re.sub(r"<\w+:", "<", rule.rule), " ".join(sorted(_methods(rule))), who(rule))
        for rule in _rules(app)
        if _methods(rule)  # what only tells its OPTIONS needs no line
    }
    rows = _table("routes.md")
    assert {(row[0].strip("`"), row[1], row[2]) for row in rows} == served
    assert len(rows) == len(served)
    assert rows == sorted(rows, key=lambda row: (row[0].strip("`"), row[1]))
    assert all(row[3] for row in rows)


def test_every_route_for_tokens_is_documented(app: Flask) -> None:
    served = {
        (re.sub(r"<\w+:", "<", rule.rule), " ".join(sorted(_methods(rule))), scope)
        for rule in _rules(app)
        if (scope := FOR_TOKENS.get(rule.endpoint)) and _methods(rule)
    }
    rows = [row for row in _table("api.md") if row[0].startswith("`/")]
    assert {(row[0].strip("`"), row[1], row[2].strip("`")) for row in rows} == served
    assert len(rows) == len(served)
    described = {row[0].strip("`") for row in _table("api.md") if not row[0].startswith("`/")}
    assert described == {scope.value for scope in Scope}


@pytest.mark.parametrize("action", list(Action))
def test_every_audit_event_is_put_into_words(action: Action) -> None:
    names = "name old_name reason email label old_email new_email issuer policy new problem count"
    names += " threat place rule version"
    facts = json.dumps(dict.fromkeys(names.split(), "something"))
    words = sentence(action.value, "alice@example.org", facts)
    assert words != action.value
    assert "…" not in words
    assert "{" not in words


def test_every_audit_event_is_recorded_somewhere() -> None:
    recorded = {
        node.attr
        for name, tree in SOURCES.items()
        if name != "audit/actions.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "attr", "") == "Action"
    } | {
        node.attr
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Action"
    }
    assert {action.name for action in Action} <= recorded


# Templates


def test_every_template_that_is_named_is_there_and_every_one_is_used() -> None:
    named = {
        node.value
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[\w/]+\.html", node.value)
    }
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text("utf-8")
        named |= set(re.findall(r"{%-?\s*(?:extends|include|import|from) '([^']+)'", text))
    there = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    assert named == there


def test_every_template_compiles_and_escapes(app: Flask) -> None:
    for path in TEMPLATES.rglob("*.html"):
        name = path.relative_to(TEMPLATES).as_posix()
        app.jinja_env.get_template(name)
        text = path.read_text("utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", text), name


def test_every_form_on_a_page_carries_the_token() -> None:
    for path in TEMPLATES.rglob("*.html"):
        for written in re.findall(r"<form\b.*?</form>", path.read_text("utf-8"), re.DOTALL):
            # Which forms need none is listed above; the page marks them.
            if re.match(r'<form[^>]*method="post"', written):
                assert "csrf()" in written or "data-no-csrf" in written, path.name
            else:
                # The address of a page must not hold it: only the button that posts sends it.
                assert "csrf()" not in written, path.name
            for button in re.findall(r'<button[^>]*formmethod="post"[^>]*>', written):
                assert 'name="csrf_token" value="{{ csrf_token() }}"' in button, path.name
