"""Commands for the tokens of programs."""

from __future__ import annotations

import uuid

import click

from portal import config
from portal.accounts import api_tokens, people
from portal.accounts.api_tokens import Scope
from portal.cli import acting
from portal.errors import NotFound
from portal.models import utcnow


@click.command("create-token")
@click.argument("email")
@click.option("--name", required=True, help="What it is for, such as “Backup at home”.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; can be given several times. Without any, documents:read.",
)
@click.option(
    "--days",
    type=click.IntRange(1, api_tokens.MOST_DAYS),
    default=api_tokens.DEFAULT_DAYS,
    show_default=True,
    help="How long it works.",
)
@click.option("--app-password", is_flag=True, help="For a program that asks for a password.")
def create_token(
    email: str, name: str, scopes: tuple[str, ...], days: int, app_password: bool
) -> None:
    """Make a token for somebody's program and print it, this once."""
    with acting(config.load()):
        user = people.by_email(email)
        token, text = api_tokens.create(
            user.id,
            name=name,
            scopes=scopes or (Scope.DOCUMENTS_READ.value,),
            days=days,
            is_app_password=app_password,
        )
        # Apart from the token, so that a script can take the output as it is.
        click.echo(
            f"“{token.name}” of {user.email} works until {token.expires_at:%Y-%m-%d}"
            f" for {', '.join(token.scopes.split())}. It is shown only now:",
            err=True,
        )
        click.echo(text)


@click.command("list-tokens")
@click.argument("email")
def list_tokens(email: str) -> None:
    """List somebody's tokens and app passwords: id, end, last use, scopes, name."""
    with acting(config.load()):
        for token in api_tokens.of_user(people.by_email(email).id):
            over = "expired" if token.expires_at <= utcnow() else "until"
            used = "never used"
            if token.last_used_at:
                used = f"used {token.last_used_at:%Y-%m-%d %H:%M} UTC from {token.last_address}"
            kind = "app password" if token.is_app_password else "token"
            click.echo(
                f"{token.public_id}  {over} {token.expires_at:%Y-%m-%d}  {used}"
                f"  {','.join(token.scopes.split())}  {kind} “{token.name}”"
            )


@click.command("revoke-token")
@click.argument("email")
@click.argument("token_id", metavar="ID", type=click.UUID)
def revoke_token(email: str, token_id: uuid.UUID) -> None:
    """End one of somebody's tokens at once; list-tokens tells its id."""
    with acting(config.load()):
        user = people.by_email(email)
        try:
            name = api_tokens.revoke(user, token_id)
        except NotFound as error:
            raise click.ClickException(f"{email} has no token with this id.") from error
        click.echo(f"“{name}” stopped working.")


COMMANDS = (create_token, list_tokens, revoke_token)
