"""Commands that keep running, and what they need first."""

from __future__ import annotations

import click
from flask import Flask

from portal import config, create_app, database, server
from portal.accounts import setup
from portal.config import Settings, is_loopback
from portal.extensions import db
from portal.jobs import worker as background
from portal.lifeline import prepare_to_fork


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes any.")
@click.option("--workers", type=click.IntRange(1, 128), help="Processes; one a core by default.")
def run(host: str, port: int, workers: int | None) -> None:
    """Set everything up and serve the portal, until Ctrl-C or SIGTERM."""
    try:
        _, port = server.reserve(host, port)
        settings = config.load(port=port)
        app = create_app(settings)
        greeting = _greeting(settings, host, port, _prepare(app))
        serve(app, host, port, workers, greeting)
    except server.CannotServe as error:
        raise click.ClickException(str(error)) from error


@click.command()
def worker() -> None:
    """Run a background worker by itself, for a portal whose pages are served elsewhere."""
    background.work(create_app(config.load()))


@click.command()
def upgrade() -> None:
    """Bring the database's tables up to date."""
    app = create_app(config.load())
    database.upgrade(app)
    click.echo("The database is up to date.")


@click.command()
def routes() -> None:
    """List every address the portal answers, with its methods."""
    app = create_app(config.load())
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    lines = [(rule.rule, " ".join(sorted(rule.methods or ())), rule.endpoint) for rule in rules]
    width = max(len(line[0]) for line in lines)
    for path, methods, endpoint in lines:
        click.echo(f"{path:{width}}  {methods:24} {endpoint}")


def serve(app: Flask, host: str, port: int, workers: int | None, greeting: list[str]) -> None:
    """Serve a prepared portal with a worker beside it; `greeting` is shown once it answers.

    Every process works with this very `app`: what is made before they are forked, they share.
    """
    for template in app.jinja_env.list_templates():
        app.jinja_env.get_template(template)
    database.close(app)
    prepare_to_fork()
    with background.beside(app):
        server.serve(app, host, port, workers, lambda: click.echo("\n".join(greeting)))


def _prepare(app: Flask) -> str | None:
    """Apply migrations; answers the token of the set-up page while there is no account."""
    database.upgrade(app)
    with app.app_context():
        try:
            return setup.open_token()
        finally:
            db.session.remove()


def _greeting(settings: Settings, host: str, port: int, setup_token: str | None) -> list[str]:
    lines = [f"{settings.site_name} is running at {settings.base_url} (Ctrl-C stops it)"]
    if setup_token is not None:
        lines.append(f"Set it up here, once: {settings.base_url}/setup?token={setup_token}")
    here = settings.host.rpartition(":")[0] or settings.host
    if is_loopback(here) and not is_loopback(host):
        lines.append(
            f"It listens on {host}:{port}, but answers others only once PORTAL_BASE_URL"
            " is the address they use."
        )
    return lines


COMMANDS = (run, worker, upgrade, routes)
