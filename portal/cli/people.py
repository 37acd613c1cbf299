"""Commands for accounts."""

from __future__ import annotations

import sys

import click

from portal import config
from portal.accounts import people, second_factor
from portal.cli import acting
from portal.models import Role


@click.command("create-user")
@click.argument("email")
@click.option("--name", default="", help="The person's name; the part before @ by default.")
@click.option("--admin", is_flag=True, help="Let this person manage people and see the log.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(email: str, name: str, admin: bool, password_stdin: bool) -> None:
    """Make an account; without a password, print an invitation link."""
    settings = config.load()
    password = _password_from_stdin() if password_stdin else None
    with acting(settings, makes_tables=True):
        role = Role.ADMIN if admin else Role.USER
        user = people.create(email, settings, name=name, role=role, password=password)
        click.echo(f"Made an account for {user.email}.")
        if password is None:
            token = people.invite(user)
            click.echo(f"They choose a password here, within {people.INVITATION_DAYS} days:")
            click.echo(f"{settings.base_url}/invitations/{token}")


@click.command("set-password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def set_password(email: str, password_stdin: bool) -> None:
    """Give somebody a new password and sign them out everywhere."""
    if not password_stdin:
        raise click.UsageError("Pipe the password in and add --password-stdin.")
    settings = config.load()
    password = _password_from_stdin()
    with acting(settings):
        user = people.by_email(email)
        people.set_password(user, password, settings)
        click.echo(f"{user.email} has a new password and was signed out everywhere.")


@click.command("disable-user")
@click.argument("email")
def disable_user(email: str) -> None:
    """Switch an account off: sessions end, links stop, nobody can sign in."""
    with acting(config.load()):
        user = people.by_email(email)
        people.disable(user)
        click.echo(f"{user.email} is disabled and was signed out everywhere.")


@click.command("enable-user")
@click.argument("email")
def enable_user(email: str) -> None:
    """Let a disabled account sign in again."""
    with acting(config.load()):
        user = people.by_email(email)
        people.enable(user)
        people.end_sessions(user)
        click.echo(f"{user.email} can sign in again.")


@click.command("reset-two-factor")
@click.argument("email")
def reset_two_factor(email: str) -> None:
    """Take the authenticator app, recovery codes and passkeys from somebody who lost them."""
    with acting(config.load()):
        user = people.by_email(email)
        second_factor.reset(user)
        click.echo(f"{user.email} signs in with the password alone, and was signed out everywhere.")


def _password_from_stdin() -> str:
    """One line of standard input, without its end. An environment or argument would be seen."""
    try:
        line = sys.stdin.buffer.readline().decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException("The password must be text in UTF-8.") from error
    password = line.rstrip("\r\n")
    if not password:
        raise click.ClickException("There was no password on standard input.")
    return password


COMMANDS = (create_user, set_password, disable_user, enable_user, reset_two_factor)
