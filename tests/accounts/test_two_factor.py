"""The page of the second factor: an app whose code was right, and codes that are shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import PASSWORD, Browser, Cast
from portal.accounts import passkeys, people, second_factor, sessions
from portal.accounts.policies import TwoFactor
from portal.accounts.second_factor import CodeRefused, Factors
from portal.database import transaction
from portal.errors import Invalid
from portal.extensions import db
from portal.models import Authenticator, RecoveryCode, utcnow
from security_key import add_passkey
from stage import at_once, browser_with, cookie_of, database_dump, events, settings_of, twins
from two_factor import App, app_on_page, codes_on_page, decide, forget_proof, turn_on

PAGE = "/account/two-factor"
ALICE = "alice@example.org"


def authenticators(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Authenticator.sealed_secret)))


def test_page_shows_a_key_and_its_picture_and_nothing_is_on_yet(app: Flask, alice: Browser) -> None:
    page = alice.get(PAGE).text
    assert "data:image/svg+xml" in page
    assert (
        f"otpauth://totp/Document%20Portal:alice%40example.org?secret={app_on_page(alice).secret}"
        in page
    )
    assert authenticators(app) == []
    assert Browser(app).sign_in(ALICE).location == "/documents"


def test_key_stays_the_same_until_it_is_on_and_is_another_in_each_session(
    app: Flask, alice: Browser
) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    assert app_on_page(alice) == app_on_page(alice)
    assert app_on_page(alice) != app_on_page(other)


def test_key_being_set_up_cannot_be_read_from_the_cookie(alice: Browser) -> None:
    secret = app_on_page(alice).secret
    assert secret not in cookie_of(alice)
    other = alice.app.session_interface.get_signing_serializer(alice.app)
    assert secret not in repr(other.loads(cookie_of(alice)))


def test_right_code_turns_it_on_and_shows_ten_codes_once(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)
    assert len(set(codes)) == 10
    assert codes_on_page(alice) == []
    page = alice.get(PAGE).text
    assert "On since" in page
    assert 'id="secret"' not in page
    (event,) = events(app, "user.second_factor_on")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    assert len(events(app, "user.recovery_codes_made")) == 1


def test_program_gets_the_codes_in_its_answer(alice: Browser) -> None:
    data = {"action": "enable", "code": app_on_page(alice).code()}
    response = alice.post_json(PAGE, data)
    assert response.status_code == 201
    assert len(response.get_json()["recovery_codes"]) == 10
    assert codes_on_page(alice) == []


@pytest.mark.parametrize("code", ["", "000000", "12345", "nonsense", "１２３", "x" * 300])
def test_wrong_code_turns_nothing_on(app: Flask, alice: Browser, code: str) -> None:
    shown = app_on_page(alice)
    response = alice.post(PAGE, {"action": "enable", "code": code})
    assert response.status_code == 422
    assert 'id="code-wrong"' in response.text
    assert shown.secret in response.text
    assert authenticators(app) == []


def test_code_of_another_key_turns_nothing_on(app: Flask, alice: Browser, bob: Browser) -> None:
    code = app_on_page(bob).code()
    app_on_page(alice)
    assert alice.post(PAGE, {"action": "enable", "code": code}).status_code == 422


def test_who_never_saw_a_key_is_shown_one(app: Flask, alice: Browser) -> None:
    response = alice.post(PAGE, {"action": "enable", "code": "123456"})
    assert (response.status_code, response.location) == (303, PAGE)
    program = Browser(app)
    program.sign_in(ALICE)
    assert program.post_json(PAGE, {"action": "enable", "code": "123456"}).status_code == 409
    assert authenticators(app) == []


def test_guessing_while_turning_it_on_is_throttled(alice: Browser) -> None:
    shown = app_on_page(alice)
    for _ in range(5):
        assert alice.post(PAGE, {"action": "enable", "code": "000000"}).status_code == 422
    response = alice.post(PAGE, {"action": "enable", "code": shown.code()})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0


def test_key_and_codes_cannot_be_read_from_the_database(app: Flask, alice: Browser) -> None:
    shown, codes = turn_on(alice)
    everything = repr(database_dump(app))
    assert shown.secret not in everything
    for code in codes:
        assert code not in everything
        assert code.replace("-", "") not in everything


def test_turning_it_on_ends_every_other_session(app: Flask, alice: Browser, bob: Browser) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    copied = browser_with(app, cookie_of(other))
    turn_on(alice)
    assert other.get("/documents").status_code == 302
    assert copied.get("/documents").status_code == 302
    assert alice.get("/documents").status_code == 200
    assert bob.get("/documents").status_code == 200


def test_turning_it_on_twice_at_the_same_moment_makes_one(app: Flask, alice: Browser) -> None:
    shown = app_on_page(alice)
    browsers = twins(alice, 6)
    data = {"action": "enable", "code": shown.code(), "csrf_token": alice.token()}
    statuses = at_once(6, lambda n: browsers[n].client.post(PAGE, data=data).status_code)
    assert statuses.count(303) == 1
    assert set(statuses) <= {303, 409, 429}
    assert len(authenticators(app)) == 1


def test_second_app_is_refused_until_the_first_is_removed(app: Flask, alice: Browser) -> None:
    shown = app_on_page(alice)
    with alice.client.session_transaction(base_url=settings_of(app).base_url) as kept:
        sealed = kept["authenticator"]
    turn_on(alice)
    with alice.client.session_transaction(base_url=settings_of(app).base_url) as kept:
        kept["authenticator"] = sealed
    (before,) = authenticators(app)
    response = alice.post(PAGE, {"action": "enable", "code": shown.code(1)})
    assert response.status_code == 409
    assert authenticators(app) == [before]


def test_turning_it_on_forgets_the_wrong_codes(app: Flask, alice: Browser) -> None:
    shown = app_on_page(alice)
    for _ in range(4):
        alice.post(PAGE, {"action": "enable", "code": "000000"})
    assert alice.post(PAGE, {"action": "enable", "code": shown.code()}).status_code == 303
    forget_proof(app, ALICE)
    assert alice.post("/account/prove", {"code": "000000"}).status_code == 422


def test_app_beside_a_passkey_ends_no_session(app: Flask, alice: Browser) -> None:
    add_passkey(alice)
    other = Browser(app)
    other.sign_in(ALICE)
    assert other.post("/login/two-factor", {"code": codes_on_page(alice)[0]}).status_code == 303
    turn_on(alice)
    assert other.get("/documents").status_code == 200


def test_key_that_is_none_of_ours_is_a_wrong_code(app: Flask, alice: Browser) -> None:
    interface: Any = app.session_interface
    token = interface.get_signing_serializer(app).loads(cookie_of(alice))["_user_id"]
    with app.app_context():
        person = sessions.load(token, settings_of(app))
        assert person
        with pytest.raises(Invalid):
            second_factor.turn_on(person, "sealed elsewhere", "000000", settings_of(app))


# Off, and new codes


def test_off_means_that_the_password_alone_signs_in(app: Flask, alice: Browser) -> None:
    turn_on(alice)
    assert alice.post(PAGE, {"action": "disable"}).status_code == 303
    assert authenticators(app) == []
    with app.app_context():
        assert db.session.scalars(select(RecoveryCode)).all() == []
    assert Browser(app).sign_in(ALICE).location == "/documents"
    (event,) = events(app, "user.second_factor_off")
    assert (event.actor, event.owner) == (ALICE, ALICE)


def test_off_takes_only_ones_own_app(app: Flask, alice: Browser, bob: Browser) -> None:
    turn_on(alice)
    turn_on(bob)
    assert alice.post(PAGE, {"action": "disable"}).status_code == 303
    assert len(authenticators(app)) == 1
    assert Browser(app).sign_in("bob@example.org").location == "/login/two-factor"


def test_with_a_passkey_left_the_codes_stay(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)
    add_passkey(alice)
    assert alice.post(PAGE, {"action": "disable"}).status_code == 303
    browser = Browser(app)
    assert browser.sign_in(ALICE).location == "/login/two-factor"
    assert browser.post("/login/two-factor", {"code": codes[0]}).location == "/documents"


def test_off_where_nothing_is_on_changes_nothing(app: Flask, alice: Browser) -> None:
    before = database_dump(app)
    assert alice.post(PAGE, {"action": "disable"}).status_code == 409
    assert alice.post(PAGE, {"action": "new-codes"}).status_code == 409
    assert database_dump(app) == before


def test_new_codes_end_the_old_ones(app: Flask, alice: Browser) -> None:
    _, old = turn_on(alice)
    assert alice.post(PAGE, {"action": "new-codes"}).status_code == 303
    new = codes_on_page(alice)
    assert len(new) == 10
    assert not set(new) & set(old)
    browser = Browser(app)
    browser.sign_in(ALICE)
    assert browser.post("/login/two-factor", {"code": old[0]}).status_code == 401
    assert browser.post("/login/two-factor", {"code": new[0]}).status_code == 303


def test_codes_of_somebody_else_stay_and_count_for_nothing(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    turn_on(bob)
    add_passkey(bob)
    with app.app_context():
        assert second_factor.of(people.by_email(ALICE).id) == Factors(None, 0, 0)
    add_passkey(alice)
    assert len(codes_on_page(alice)) == 10
    assert alice.post(PAGE, {"action": "new-codes"}).status_code == 303
    with app.app_context():
        mine = passkeys.listed(people.by_email(ALICE).id)
        assert len(mine) == 1
        id_ = str(mine[0].public_id)
    assert alice.post("/account/passkeys", {"action": "remove", "id": id_}).status_code == 303
    with app.app_context():
        assert second_factor.of(people.by_email(ALICE).id) == Factors(None, 0, 0)
        bobs = second_factor.of(people.by_email(bob.email).id)
    assert (bobs.is_on, bobs.passkeys, bobs.codes_left) == (True, 1, 10)


def test_unknown_action_changes_nothing(app: Flask, alice: Browser) -> None:
    before = database_dump(app)
    assert alice.post(PAGE, {"action": "explode"}).status_code == 400
    assert database_dump(app) == before


# Fresh proof


@pytest.mark.parametrize("action", ["disable", "new-codes"])
def test_old_proof_is_not_enough(app: Flask, alice: Browser, action: str) -> None:
    turn_on(alice)
    forget_proof(app, ALICE)
    before = database_dump(app)
    response = alice.post(PAGE, {"action": action})
    assert (response.status_code, response.location) == (
        303,
        "/account/prove?next=%2Faccount%2Ftwo-factor",
    )
    refused = alice.post_json(PAGE, {"action": action})
    assert (refused.status_code, refused.get_json()["reason"]) == (403, "fresh_proof")
    assert database_dump(app) == before


@pytest.mark.parametrize("action", ["disable", "new-codes"])
@pytest.mark.parametrize("field", ["password", "code"])
def test_proof_may_come_with_the_form(app: Flask, alice: Browser, action: str, field: str) -> None:
    shown, _ = turn_on(alice)
    forget_proof(app, ALICE)
    wrong = {"password": "three loud herons", "code": "000000"}[field]
    assert alice.post(PAGE, {"action": action, field: wrong}).status_code == 422
    assert len(authenticators(app)) == 1
    right = {"password": PASSWORD, "code": shown.code(1)}[field]
    assert alice.post(PAGE, {"action": action, field: right}).status_code == 303


def test_old_proof_shows_no_key_and_turns_nothing_on(app: Flask, alice: Browser) -> None:
    shown = app_on_page(alice)
    forget_proof(app, ALICE)
    page = alice.get(PAGE).text
    assert shown.secret not in page
    assert "/account/prove?next=/account/two-factor" in page
    response = alice.post(PAGE, {"action": "enable", "code": shown.code()})
    assert response.location == "/account/prove?next=%2Faccount%2Ftwo-factor"
    assert authenticators(app) == []
    data = {"action": "enable", "code": shown.code(), "password": PASSWORD}
    assert alice.post(PAGE, data).status_code == 303
    assert len(authenticators(app)) == 1


# Codes themselves


@pytest.fixture
def alices(app: Flask, alice: Browser, time_machine: Any) -> App:
    """Alice's app, turned on a quarter of an hour ago, at the beginning of a half minute."""
    start = utcnow().replace(second=0, microsecond=0)
    time_machine.move_to(start - timedelta(minutes=15), tick=False)
    again = Browser(app)
    again.sign_in(ALICE)
    shown, _ = turn_on(again)
    time_machine.move_to(start, tick=False)
    return shown


def used(app: Flask, code: str) -> str:
    with app.app_context(), transaction() as session:
        return second_factor.use_code(session, people.by_email(ALICE), code, settings_of(app))


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_clock_may_be_wrong_by_one_step(app: Flask, alices: App, steps: int) -> None:
    assert used(app, alices.code(steps)) == "code"


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_clock_may_not_be_wrong_by_more(app: Flask, alices: App, steps: int) -> None:
    with pytest.raises(CodeRefused):
        used(app, alices.code(steps))


def test_code_works_once_and_none_before_it_afterwards(app: Flask, alices: App) -> None:
    assert used(app, alices.code(0)) == "code"
    for steps in (0, -1):
        with pytest.raises(CodeRefused):
            used(app, alices.code(steps))
    assert used(app, alices.code(1)) == "code"


def test_code_works_once_however_many_try_it_at_the_same_moment(app: Flask, alices: App) -> None:
    def attempt(_number: int) -> bool:
        try:
            used(app, alices.code())
        except CodeRefused:
            return False
        return True

    assert at_once(8, attempt).count(True) == 1


def test_code_is_read_as_people_write_it(app: Flask, alices: App) -> None:
    code = alices.code()
    assert used(app, f" {code[:3]} {code[3:]} ") == "code"


def test_with_another_key_of_the_portal_the_app_is_of_no_use(
    app: Flask, make_app: Any, alices: App
) -> None:
    other = make_app(secret_key="another key of the portal, as long as it must be")
    with pytest.raises(CodeRefused):
        used(other, alices.code())


def test_recovery_code_works_once_however_many_try_it(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)

    def attempt(_number: int) -> bool:
        try:
            return used(app, codes[3]) == "recovery code"
        except CodeRefused:
            return False

    assert at_once(8, attempt).count(True) == 1
    with app.app_context():
        left = second_factor.of(people.by_email(ALICE).id).codes_left
    assert left == 9
    (event,) = events(app, "user.recovery_code_used")
    assert (event.owner, event.detail["left"]) == (ALICE, 9)


def test_recovery_code_is_read_as_people_write_it(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)
    written = (
        codes[0].upper().replace("-", " ").replace("O", "0").replace("L", "1").replace("B", "8")
    )
    assert used(app, written) == "recovery code"


def test_recovery_code_of_somebody_else_is_none(app: Flask, alice: Browser, bob: Browser) -> None:
    turn_on(alice)
    _, codes = turn_on(bob)
    with pytest.raises(CodeRefused):
        used(app, codes[0])


# Made mandatory


@pytest.mark.parametrize("path", ["/documents", "/account", "/share-links", "/nothing", "/trash"])
def test_who_must_have_one_is_led_to_set_it_up_from_every_page(
    app: Flask, alice: Browser, path: str
) -> None:
    decide(app, TwoFactor.EVERYONE)
    assert (alice.get(path).status_code, alice.get(path).location) == (302, PAGE)
    refused = alice.get(path, headers={"Accept": "application/json"})
    assert (refused.status_code, refused.get_json()["reason"]) == (403, "second_factor")
    response = alice.post(path, {"name": "x"})
    assert (response.status_code, response.location) == (303, PAGE)


def test_new_sign_in_is_led_to_set_it_up_too(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    browser = Browser(app)
    assert browser.sign_in(ALICE).location == "/documents"
    assert browser.get("/documents").location == PAGE


def test_nothing_is_done_before_it_is_set_up(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    decide(app, TwoFactor.EVERYONE)
    before = database_dump(app)
    assert alice.get(deed["download_url"]).location == PAGE
    assert alice.post(f"{deed['url']}/delete").location == PAGE
    assert (
        alice.post_json(f"{deed['url']}/share-links", {"expires_in_days": "1"}).status_code == 403
    )
    assert database_dump(app) == before


def test_what_it_takes_to_set_it_up_stays_open(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    forget_proof(app, ALICE)
    assert alice.get("/account/passkeys").status_code == 200
    assert alice.get("/account/prove").status_code == 200
    assert alice.post("/account/prove", {"password": PASSWORD, "next": PAGE}).location == PAGE
    turn_on(alice)
    assert alice.get("/documents").status_code == 200


def test_who_must_have_one_can_leave(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    assert alice.post("/logout").location == "/login"
    assert alice.get("/documents").location.startswith("/login")


def test_passkey_is_enough(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    add_passkey(alice)
    assert alice.get("/documents").status_code == 200


def test_removing_the_last_one_leads_to_setting_up_another(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    turn_on(alice)
    assert alice.post(PAGE, {"action": "disable"}).status_code == 303
    assert alice.get("/documents").location == PAGE


def test_rule_for_admins_leaves_others_alone(app: Flask, alice: Browser, ada: Browser) -> None:
    decide(app, TwoFactor.ADMINS)
    assert alice.get("/documents").status_code == 200
    assert ada.get("/documents").location == PAGE
    assert ada.get("/admin").location == PAGE


def test_rule_that_is_lifted_asks_nobody(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    decide(app, TwoFactor.OPTIONAL)
    assert alice.get("/documents").status_code == 200


def test_share_link_stays_open_to_who_owes_one(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    decide(app, TwoFactor.EVERYONE)
    assert alice.get(link["path"]).status_code == 200


def test_admin_page_stays_unknown_to_who_is_no_admin(app: Flask, alice: Browser) -> None:
    decide(app, TwoFactor.EVERYONE)
    assert alice.get("/admin").status_code == 404


def test_invited_person_is_led_to_set_it_up(app: Flask, cast: Cast) -> None:
    decide(app, TwoFactor.EVERYONE)
    with app.app_context():
        token = people.invite(people.create(ALICE, settings_of(app)))
    browser = Browser(app)
    data = {"name": "Alice", "password": PASSWORD}
    assert browser.post(f"/invitations/{token}", data).location == "/documents"
    assert browser.get("/documents").location == PAGE
