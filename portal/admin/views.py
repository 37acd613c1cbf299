"""The admin pages: figures, people, uploads on behalf, links and the audit log.

The gate lets nobody but admins reach any view of this blueprint.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, audit, shown_once
from portal.accounts import api_tokens, deletion, people, policies, recovery, second_factor
from portal.accounts.api_tokens import Scope
from portal.accounts.policies import NewAccounts, TwoFactor
from portal.admin import checks
from portal.admin import overview as figures
from portal.admin.forms import AuditFilterForm, InviteForm, PersonForm, SettingsForm
from portal.audit import reading
from portal.audit.reading import Filters
from portal.config import Settings
from portal.database import transaction
from portal.documents import folder_listing, folders, integrity, listing, room
from portal.documents.forms import UploadForSomebodyForm
from portal.documents.receiving import (
    answer_json,
    as_text,
    flash_outcome,
    receive_all,
    refused_as,
    takes_files,
)
from portal.errors import BadRequest, Conflict
from portal.forms import check, filling
from portal.gate import check_fresh_proof, open_to_tokens, wants_json
from portal.mail import outbox, undelivered
from portal.models import Role, User
from portal.request import PortalRequest
from portal.sharing import links
from portal.sharing.views import links_json, revoke_many

#: So many damaged files are named on the front page.
_DAMAGED_SHOWN = 10

admin = Blueprint("admin", __name__, url_prefix="/admin")


@admin.get("", strict_slashes=False)
def overview() -> ResponseReturnValue:
    return render_template(
        "admin/overview.html",
        figures=figures.figures(),
        days=figures.days(),
        damaged=integrity.findings(_DAMAGED_SHOWN),
        leaving=[
            (each, deletion.possible_from(each), deletion.is_possible(each))
            for each in deletion.waiting()
        ],
        checklist=[
            {"ok": each.ok, "title": each.name, "detail": each.detail, "cure": each.cure}
            for each in checks.quick(_settings())
        ],
    )


@admin.route("/users", methods=["GET", "POST"])
@open_to_tokens(Scope.ADMIN)
def users() -> ResponseReturnValue:
    form = InviteForm()
    if request.method != "POST":
        if wants_json():
            return {"users": [_person_json(each) for each in people.everybody()]}
        invitation_url = shown_once.take("invitation").get("url")
        return render_template(
            "admin/users.html", **_people(InviteForm(formdata=None), invitation_url)
        )
    with filling(form, Conflict) as refused:
        check(form)
        _prove_for(Role(form.role.data))
        user = people.create(
            form.email.data or "",
            _settings(),
            name=form.name.data or "",
            role=Role(form.role.data),
            quota_bytes=form.quota_bytes.data,
        )
        token = people.invite_by_mail(user, _settings())
    if refused:
        return refused.page("admin/users.html", **_people(form))
    facts = {"id": str(user.public_id), "email": user.email}
    return _invited(user, token, "invitation", url_for("admin.users"), facts)


@admin.route("/users/<uuid:user_id>", methods=["GET", "POST"])
@open_to_tokens(Scope.ADMIN)
def user(user_id: UUID) -> ResponseReturnValue:
    person = people.by_public_id(user_id)
    if request.method != "POST":
        if wants_json():
            return _person_json(person)
        context = _person(person, _person_form(person))
        context["invitation_url"] = shown_once.take(f"invitation of {user_id}").get("url")
        return render_template("admin/user.html", **context)
    if request.form.get("action") == "reset-password":
        return _reset_password(person)
    form = PersonForm()
    with filling(form, Conflict) as refused:
        done = _act(person, form)
        is_deleted = request.form.get("action") == "delete"
    if refused:
        return refused.page("admin/user.html", **_person(person, form))
    if wants_json():
        return {"id": str(person.public_id), "status": person.status, "role": person.role}, 201
    flash(done, "success")
    if is_deleted:
        return redirect(url_for("admin.users"), 303)
    return redirect(url_for("admin.user", user_id=user_id), 303)


@admin.get("/users/<uuid:user_id>/documents")
@open_to_tokens(Scope.ADMIN)
def user_documents(user_id: UUID) -> ResponseReturnValue:
    return _directory_page(user_id, UploadForSomebodyForm(formdata=None))


@admin.post("/users/<uuid:user_id>/documents")
@open_to_tokens(Scope.ADMIN)
@takes_files(into=lambda user_id: user_id)
def upload_for(user_id: UUID) -> ResponseReturnValue:
    form = UploadForSomebodyForm()
    with filling(form) as refused:
        check(form)
    if refused:
        return _directory_page(user_id, form, refused.error.status if refused.error else 422)
    outcome = receive_all(note=form.note.data or "")
    if wants_json():
        return answer_json(outcome)
    flash_outcome(outcome, people.by_public_id(user_id))
    if not outcome.stored:
        status, headers = refused_as(outcome)
        return _directory_page(user_id, form, status, headers)
    return redirect(url_for("admin.user_documents", user_id=user_id), 303)


@admin.route("/share-links", methods=["GET", "POST"])
@open_to_tokens(Scope.ADMIN)
def share_links() -> ResponseReturnValue:
    if request.method == "POST":
        return revoke_many(url_for("admin.share_links"))
    if wants_json():
        return links_json(links.live_of_everybody(current_user))
    return render_template("admin/share_links.html", links=links.live_of_everybody(current_user))


@admin.route("/settings", methods=["GET", "POST"])
def settings() -> ResponseReturnValue:
    """What the admins decide for everybody."""
    now = {"two_factor": policies.two_factor(), "new_accounts": policies.new_accounts()}
    if request.method != "POST":
        return render_template("admin/settings.html", **_settings_page(SettingsForm(data=now)))
    check_fresh_proof()
    form = SettingsForm(data=now)
    with filling(form) as refused:
        check(form)
        policies.decide(TwoFactor(form.two_factor.data), NewAccounts(form.new_accounts.data))
    if refused:
        return refused.page("admin/settings.html", **_settings_page(form))
    if wants_json():
        return {"two_factor": form.two_factor.data, "new_accounts": form.new_accounts.data}, 201
    flash("The settings were saved. They are in force now.", "success")
    return redirect(url_for("admin.settings"), 303)


@admin.route("/mail", methods=["GET", "POST"])
def mail() -> ResponseReturnValue:
    if request.method == "POST":
        return _mail_action()
    before = request.args.get("before", "")
    mails, older = undelivered.page(_number(before))
    return render_template(
        "admin/mail.html",
        mails=mails,
        mail_server=_settings().smtp_url,
        outbox=outbox.folder(_settings()),
        worker_runs=checks.worker_runs(_settings()),
        first_url=url_for("admin.mail") if before else None,
        next_url=url_for("admin.mail", before=older) if older else None,
    )


@admin.get("/audit", endpoint="audit")
def audit_log() -> ResponseReturnValue:
    form, filters = _filters()
    before = request.args.get("before", "")
    events, older = reading.page(filters, _number(before))
    arguments: dict[str, Any] = {
        key: value for key, value in request.args.items() if key in form and value
    }
    page = render_template(
        "admin/audit.html",
        events=events,
        filter_form=form,
        first_url=url_for("admin.audit", **arguments) if before else None,
        next_url=url_for("admin.audit", **arguments, before=older) if older else None,
        csv_url=url_for("admin.audit_csv", **arguments),
    )
    return page, 422 if form.errors else 200


@admin.get("/audit.csv")
@open_to_tokens(Scope.ADMIN)
def audit_csv() -> ResponseReturnValue:
    form, filters = _filters()
    if form.errors:
        raise BadRequest("These filters are not understood.")
    asked = request.query_string.decode("ascii", "replace")[:1000]
    audit.record_alone(audit.Action.AUDIT_EXPORTED, filters=asked)
    name = f"audit-{datetime.now(UTC):%Y-%m-%d}.csv"
    return Response(
        reading.export_csv(reading.entries(filters)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _prove_for(role: Role) -> None:
    """Ask for a fresh proof before somebody becomes an admin.

    Whoever sits at an unlocked screen, or has a token, could else make an admin of their own,
    who has a password and can do the rest.
    """
    if role is Role.ADMIN:
        check_fresh_proof()


def _act(person: User, form: PersonForm) -> str:
    match request.form.get("action", ""):
        case "save":
            check(form)
            if not person.is_admin:
                _prove_for(Role(form.role.data))
            people.save(
                person,
                name=form.name.data or "",
                role=Role(form.role.data),
                quota_bytes=form.quota_bytes.data,
            )
            return "The account was saved."
        case "disable":
            people.disable(person)
            return f"{person.name} is shut out."
        case "enable":
            people.enable(person)
            return f"{person.name} can sign in again."
        case "end-sessions":
            people.end_sessions(person)
            return f"{person.name} was signed out everywhere."
        case "delete":
            name = person.name
            deletion.delete_for_ever(person)
            return f"The account of {name} was deleted."
        case "revoke-tokens":
            ended = api_tokens.revoke_all(person)
            return "One token was ended." if ended == 1 else f"{ended} tokens were ended."
        case "reset-two-factor":
            check_fresh_proof()
            second_factor.reset(person)
            return f"{person.name} signs in with the password alone, and was signed out everywhere."
        case _:
            raise BadRequest


def _mail_action() -> ResponseReturnValue:
    match request.form.get("action", ""):
        case "test":
            problem = undelivered.send_test(current_user.email, current_user.name, _settings())
            if problem:
                said, looks = f"The test mail could not be sent. {problem}", "danger"
            elif _mails_arrive():
                said, looks = (
                    f"The mail server took a test mail to {current_user.email}.",
                    "success",
                )
            else:
                said, looks = (
                    "The test mail lies in the outbox. Nobody is sent anything.",
                    "warning",
                )
            answer: dict[str, Any] = {"sent": not problem and _mails_arrive(), "problem": problem}
        case "retry":
            ids = cast(PortalRequest, request).uuid_field("id")
            if len(ids) != 1:
                raise BadRequest
            undelivered.retry(ids[0], _settings())
            said, looks = "It is tried again within a minute.", "success"
            answer = {"id": str(ids[0]), "queued": True}
        case _:
            raise BadRequest
    if wants_json():
        return answer, 201
    flash(said, looks)
    return redirect(url_for("admin.mail"), 303)


def _reset_password(person: User) -> ResponseReturnValue:
    """Mail somebody an address to choose a password; another invitation if they never came in.

    Only the invitation is ever shown: with the address of somebody who has documents here an
    admin could sign in as them and read quietly.
    """
    here = url_for("admin.user", user_id=person.public_id)
    if person.status == "invited":
        _prove_for(Role(person.role))
        token = people.invite_by_mail(person, _settings())
        facts = {"id": str(person.public_id)}
        return _invited(person, token, f"invitation of {person.public_id}", here, facts)
    recovery.ask_for(person, _settings())
    if wants_json():
        return {"id": str(person.public_id), "mailed": _mails_arrive()}, 201
    if _mails_arrive():
        flash(
            f"A mail is on its way to {person.email}. Their present password works on.", "success"
        )
    else:
        flash(
            "There is no mail server, so the mail lies in the outbox on the server: whoever runs"
            f" it hands it to {person.name}.",
            "warning",
        )
    return redirect(here, 303)


def _invited(
    person: User, token: str, subject: str, back: str, facts: dict[str, str]
) -> ResponseReturnValue:
    """The answer to an invitation: its address is shown where no mail brings it, or if asked."""
    is_shown = not _mails_arrive() or bool(request.form.get("show_address"))
    url = _settings().base_url + url_for("accounts.invitation", token=token)
    if wants_json():
        shown = {"invitation_url": url} if is_shown else {}
        return {**facts, "mailed": _mails_arrive(), **shown}, 201
    if is_shown:
        shown_once.keep(subject, url=url)
    if _mails_arrive():
        flash(f"The invitation is on its way to {person.email}.", "success")
    else:
        flash(f"{person.name} is invited. Send them the address below.", "success")
    return redirect(back, 303)


def _mails_arrive() -> bool:
    """Whether mails go to people, and not only to the outbox."""
    return _settings().smtp_url is not None


def _directory_page(
    user_id: UUID,
    form: UploadForSomebodyForm,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> ResponseReturnValue:
    owner = access.directory_for(current_user, user_id)
    if request.method != "POST":
        with transaction():
            audit.record(audit.Action.DIRECTORY_LISTED, owner=owner.email)
    q = request.args.get("q", "") if request.method != "POST" else ""
    page = listing.directory(owner, request.args.get("cursor", ""), q)
    paths = folders.paths(owner.id, [row.folder.id for row in page.rows if row.folder])
    following = None
    if page.next_cursor:
        following = url_for(
            "admin.user_documents", user_id=user_id, q=q or None, cursor=page.next_cursor
        )
    if wants_json():
        names = [_name_json(row, paths) for row in page.rows]
        return {"documents": names, "next": following}
    places = [(str(folder_id), path) for folder_id, path in folder_listing.to_choose_from(owner)]
    form.folder.choices = [("", "None: at the top"), *places]
    html = render_template(
        "admin/user_documents.html",
        user=owner,
        page={"rows": page.rows, "next_url": following},
        paths=paths,
        directory_q=q,
        upload_form=form,
        upload_rules=room.rules(_settings()),
        max_upload_bytes=_settings().max_upload_bytes,
    )
    return html, status, headers or {}


def _people(form: InviteForm, invitation_url: str | None = None) -> dict[str, Any]:
    return {
        "users": people.everybody(),
        "form": form,
        "invitation_url": invitation_url,
        "mails_arrive": _mails_arrive(),
    }


def _person_json(person: User) -> dict[str, Any]:
    return {
        "id": str(person.public_id),
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "status": person.status,
        "quota_bytes": person.quota_bytes,
        "used_bytes": person.used_bytes,
    }


def _name_json(row: listing.Row, paths: dict[int, str]) -> dict[str, Any]:
    """What an admin may know of a document: its name and size, never its content."""
    return {
        "id": str(row.public_id),
        "name": row.name,
        "size": row.size_bytes,
        "folder": str(row.folder.public_id) if row.folder else None,
        "path": paths.get(row.folder.id, "") if row.folder else "",
        "media_type": row.media_type,
        "uploaded_at": as_text(row.uploaded_at),
        "scan": row.scan.value,
    }


def _settings_page(form: SettingsForm) -> dict[str, Any]:
    return {"form": form, "lacking": second_factor.lacking()}


def _person(person: User, form: PersonForm) -> dict[str, Any]:
    return {
        "user": person,
        "form": form,
        "invitation_url": None,
        "factors": second_factor.of(person.id),
        "token_count": api_tokens.count_live(person.id),
        "deletion_from": deletion.possible_from(person),
        "can_be_deleted": deletion.is_possible(person),
        "mails_arrive": _mails_arrive(),
    }


def _person_form(person: User) -> PersonForm:
    return PersonForm(
        formdata=None, name=person.name, role=person.role, quota_bytes=person.quota_bytes
    )


def _number(text: str) -> int | None:
    """A number that a database can hold, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _filters() -> tuple[AuditFilterForm, Filters]:
    form = AuditFilterForm(request.args)
    if not form.validate():
        return form, Filters()
    return form, Filters(
        actor=(form.actor.data or "").strip(),
        action=form.action.data or "",
        document=(form.document.data or "").strip(),
        since=form.since.moment,
        until=form.until.moment,
    )


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
