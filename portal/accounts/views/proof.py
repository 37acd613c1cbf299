"""The page where somebody who is signed in shows once more that it is them."""

from __future__ import annotations

from flask import flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import proof
from portal.accounts.forms import ProofForm
from portal.accounts.views import accounts
from portal.accounts.views.browser import (
    passkey_place,
    person,
    safe_next,
    settings,
    take_challenge,
)
from portal.errors import Invalid, TooManyTries
from portal.forms import check, filling
from portal.gate import open_without_second_factor, wants_json


@accounts.route("/account/prove", methods=["GET", "POST"], endpoint="prove")
@open_without_second_factor
def prove() -> ResponseReturnValue:
    form = ProofForm(next=request.args.get("next", ""))
    ways = proof.ways(current_user.user_id)
    if request.method != "POST":
        return render_template("accounts/prove.html", form=form, ways=ways, **passkey_place())
    answer = request.form.get("credential")
    with filling(form, TooManyTries) as refused:
        check(form)
        if answer:
            proof.by_passkey(person(), answer, take_challenge(), settings())
        elif form.code.data:
            proof.by_code(person(), form.code.data, settings())
        elif form.password.data:
            proof.by_password(person(), form.password.data, settings())
        else:
            field = "password" if ways.password else "code"
            raise Invalid(errors={field: f"Enter your {field}."})
    if refused:
        return refused.page("accounts/prove.html", form=form, ways=ways, **passkey_place())
    if wants_json():
        return {"proved": True}, 201
    flash("Thank you. Go on; for ten minutes you are not asked again.", "success")
    return redirect(safe_next(form.next.data), 303)
