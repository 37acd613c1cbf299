"""Commands for accounts."""

from __future__ import annotations

import sys

import click

from portal import audit, config
from portal.accounts import devices, people, provider, second_factor
from portal.cli import acting
from portal.database import transaction
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
    """Give somebody a new password; they are signed out everywhere and their tokens end."""
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
    """Switch an account off: sessions and tokens end, links stop, nobody can sign in."""
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


@click.command("unlink-provider")
@click.argument("email")
def unlink_provider(email: str) -> None:
    """Forget who somebody is at the sign-in provider; their next sign-in there links anew."""
    with acting(config.load()):
        user = people.by_email(email)
        if not provider.unlink(user):
            raise click.ClickException(f"{user.email} is not linked to a provider.")
        click.echo(f"{user.email} is linked to no provider now, and was signed out everywhere.")


@click.command("make-admin")
@click.argument("email")
def make_admin(email: str) -> None:
    """Let somebody manage people and see the log, for when no admin can sign in."""
    with acting(config.load()):
        user = people.by_email(email)
        people.save(user, name=user.name, role=Role.ADMIN, quota_bytes=user.quota_bytes)
        click.echo(f"{user.email} is an admin.")


@click.command("make-user")
@click.argument("email")
def make_user(email: str) -> None:
    """Take an admin's rights away; the last active admin keeps them."""
    with acting(config.load()):
        user = people.by_email(email)
        people.save(user, name=user.name, role=Role.USER, quota_bytes=user.quota_bytes)
        click.echo(f"{user.email} is no admin.")


@click.command("list-users")
def list_users() -> None:
    """Print every account: address, role, status, last seen, name."""
    with acting(config.load()):
        with transaction():
            audit.record(audit.Action.PEOPLE_LISTED)
        for user in people.everybody():
            seen = f"{user.last_seen_at:%Y-%m-%d}" if user.last_seen_at else "never"
            click.echo(f"{user.email}  {user.role:5}  {user.status:8}  {seen:10}  {user.name}")


@click.command("list-sessions")
@click.argument("email")
def list_sessions(email: str) -> None:
    """Print where somebody is signed in: last used, address, browser."""
    settings = config.load()
    with acting(settings):
        user = people.by_email(email)
        with transaction():
            audit.record(audit.Action.SESSIONS_LISTED, owner=user.email)
        found = devices.of(user.id, settings)
        for each in found:
            used = f"{each.last_used_at:%Y-%m-%d %H:%M} UTC"
            click.echo(f"{used}  {each.address or 'unknown'}  {each.browser}")
        if not found:
            click.echo(f"{user.email} is signed in nowhere.")


@click.command("end-sessions")
@click.argument("email")
def end_sessions(email: str) -> None:
    """Sign somebody out everywhere; they can sign in again."""
    with acting(config.load()):
        user = people.by_email(email)
        ended = people.end_sessions(user)
        click.echo(f"{user.email} was signed out on {ended} device{'' if ended == 1 else 's'}.")


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


COMMANDS = (
    create_user,
    set_password,
    disable_user,
    enable_user,
    make_admin,
    make_user,
    list_users,
    list_sessions,
    end_sessions,
    reset_two_factor,
    unlink_provider,
)
