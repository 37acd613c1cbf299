"""Settings: read once, checked, frozen.

Environment variables (`PORTAL_…`) beat `config.toml` in the instance folder, which beats
the defaults. Anything unknown, malformed or unsafe raises `ConfigError`, whose
message is one line that names the setting and its cure.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from portal.collation import LOCALES

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "PORTAL_"
MIB = 1024 * 1024
GIB = 1024 * MIB

#: Variables with the prefix that are not settings: the test suite's own switches.
NOT_SETTINGS = frozenset({"PORTAL_TEST_FULL", "PORTAL_TEST_REQUIRE_ALL", "PORTAL_TEST_SEED"})

#: What the system takes for the path of a socket.
_LONGEST_SOCKET_PATH = 107


class ConfigError(Exception):
    """A setting is unknown, malformed or unsafe; the text is one line with the cure."""


@dataclass(frozen=True)
class SmtpServer:
    """Who takes our mails. User and password are in no representation of it."""

    host: str
    port: int
    #: `starttls`, `tls` from the first byte, or `none`. Certificates are always checked.
    security: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Scanner:
    """Where clamd listens: on a socket in the file system, or on a host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix:{self.path}" if self.path else f"tcp://{host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set from outside. Sizes in bytes."""

    instance_dir: Path = ROOT / "instance"
    files_dir: Path = ROOT / "private_files"
    database_url: str = ""
    storage_url: str = "file:"
    secret_key: str = field(default="", repr=False)
    base_url: str = "http://127.0.0.1:8000"
    trusted_proxies: int = 0
    site_name: str = "Document Portal"
    #: The language by whose order names are sorted; empty is root order.
    sort_locale: str = ""
    max_upload_bytes: int = 5 * GIB
    default_quota_bytes: int = 20 * GIB
    allowed_extensions: frozenset[str] = frozenset()
    blocked_extensions: frozenset[str] = frozenset()
    #: Where the name of a file contradicts its content: `correct` believes the content.
    type_mismatch: str = "correct"
    share_max_days: int = 90
    share_password_required: bool = False
    trash_days: int = 30
    #: How many versions of a document are kept; 0 is all of them.
    keep_versions: int = 100
    #: Every stored file is read and compared with its hash within so many days; 0 is never.
    verify_days: int = 30
    session_idle_minutes: int = 60
    session_days: int = 14
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    allow_http: bool = False
    #: None: mails are written to `outbox/` in the instance folder.
    smtp_url: SmtpServer | None = None
    #: As it stands in mails, with or without a name; empty only without a mail server.
    mail_from: str = ""
    #: With it, only bytes that it called clean may leave. None: nothing is scanned.
    clamd_url: Scanner | None = None
    log_format: str = "text"

    #: Work factor of bcrypt. Not a setting: tests lower it, nothing else may.
    bcrypt_rounds: int = 12

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def host(self) -> str:
        """Host (and port) of the address people use, as it stands in a Host header."""
        return urlsplit(self.base_url).netloc.lower()

    @property
    def oidc_host(self) -> str:
        """Whose sign-in page the provider's is, for people; empty without a provider."""
        return urlsplit(self.oidc_issuer).hostname or ""


def _text(raw: str) -> str:
    text = raw.strip()
    if not text or not text.isprintable():
        raise ValueError("must be a line of text")
    return text


def _whole(minimum: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        text = raw.strip()
        if not (text.isascii() and text.isdigit() and int(text) >= minimum):
            raise ValueError(f"must be a whole number from {minimum} up")
        if int(text) > 2**62:
            raise ValueError("is too large")
        return int(text)

    return parse


def _days(raw: str) -> int:
    days = _whole(0)(raw)
    if days > 36_500:
        raise ValueError("must be at most 36500 days")
    return days


def _flag(raw: str) -> bool:
    value = raw.strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be 1 or 0")


def _extensions(raw: str) -> frozenset[str]:
    parts = [part.strip().lstrip(".").casefold() for part in raw.split(",") if part.strip()]
    if any(not part or not part.isprintable() or set(part) & set("./\\ ") for part in parts):
        raise ValueError("must be extensions separated by commas, like pdf,docx")
    return frozenset(parts)


def _path(raw: str) -> Path:
    if not raw.strip() or "\0" in raw:
        raise ValueError("must be a folder")
    return Path(raw.strip()).expanduser().absolute()


def _database_url(raw: str) -> str:
    url = raw.strip()
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("must start with sqlite:/// or postgresql+psycopg://")
    return url


def _storage_url(raw: str) -> str:
    if raw.strip() != "file:":
        raise ValueError("must be file: (documents live in the files folder)")
    return "file:"


def _base_url(raw: str) -> str:
    url = raw.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address like https://documents.example.org")
    if parts.path or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be only scheme, host and port, like https://documents.example.org")
    _ = parts.port  # raises ValueError where it is no number
    return url


def _issuer(raw: str) -> str:
    # As it is, to the last slash: the provider must name itself by exactly this address.
    url = _text(raw)
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or (parts.scheme != "https" and not plain):
        raise ValueError("must be the https address by which the provider calls itself")
    if parts.query or parts.fragment or parts.username or parts.password or " " in url:
        raise ValueError("must be an address without a question mark, #, user or space")
    if len(url) > 500:
        raise ValueError("must be an address of at most 500 characters")
    _ = parts.port  # raises ValueError where it is no number
    return url


def _smtp_url(raw: str) -> SmtpServer:
    """Nothing of `raw` is in what is raised: it may hold a password."""
    try:
        parts = urlsplit(raw.strip())
        port, query = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        port, query, parts = None, {}, urlsplit("")
    host = parts.hostname or ""
    tls = query.pop("tls", [""])[-1]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if (
        parts.scheme not in {"smtp", "smtps"}
        or not host
        or query
        or parts.path not in {"", "/"}
        or parts.fragment
        or tls not in ({"", "none", "starttls"} if parts.scheme == "smtp" else {""})
    ):
        raise ValueError(
            "must be like smtp://user:password@mail.example.org:587?tls=starttls"
            " (or smtps://…), with @ : / ? # in user and password written as %40 %3A %2F %3F %23"
        )
    if not (user + password).isascii() or bool(user) != bool(password):
        raise ValueError("must have both user and password, in ASCII, or neither")
    if parts.scheme == "smtps":
        return SmtpServer(host, port or 465, "tls", user, password)
    security = tls or ("none" if is_loopback(host) else "starttls")
    if user and security == "none" and not is_loopback(host):
        raise ValueError("would send the password readably; use ?tls=starttls or smtps://")
    return SmtpServer(
        host, port or (587 if security == "starttls" else 25), security, user, password
    )


def _mail_from(raw: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    text = _text(raw)
    try:
        validate_email(parseaddr(text)[1], check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        problem = "must be an address like Documents <documents@example.org>"
        raise ValueError(problem) from None
    return text


def _clamd_url(raw: str) -> Scanner:
    text = raw.strip()
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        # `unix:///path` is the same file, and what many programs write.
        path = path[2:] if path.startswith("///") else path
        if not path.startswith("/") or path.startswith("//") or not path.isprintable():
            raise ValueError("must be like unix:/run/clamav/clamd.ctl: the whole path of a socket")
        if len(path.encode()) > _LONGEST_SOCKET_PATH:
            raise ValueError(f"must be a path of at most {_LONGEST_SOCKET_PATH} bytes")
        return Scanner(path=path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme != "tcp" or parts.netloc.lower() != str(Scanner(host=host, port=port or 0))[6:]:
        host = ""
    if not host or not port or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must be like unix:/run/clamav/clamd.ctl or tcp://127.0.0.1:3310")
    return Scanner(host=host, port=port)


def _secret_key(raw: str) -> str:
    if len(raw.strip()) < 32:
        raise ValueError("must be at least 32 characters; unset it and one is made")
    return raw.strip()


def _sort_locale(raw: str) -> str:
    locale = raw.strip().lower()
    if locale and locale not in LOCALES:
        raise ValueError(f"must be empty or one of {', '.join(LOCALES)}")
    return locale


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.strip() not in allowed:
            raise ValueError("must be " + " or ".join(allowed))
        return raw.strip()

    return parse


#: Every setting and how its text is read. The names are the fields of `Settings`.
PARSERS: dict[str, Callable[[str], Any]] = {
    "instance_dir": _path,
    "files_dir": _path,
    "database_url": _database_url,
    "storage_url": _storage_url,
    "secret_key": _secret_key,
    "base_url": _base_url,
    "trusted_proxies": _whole(0),
    "site_name": _text,
    "sort_locale": _sort_locale,
    "max_upload_bytes": _whole(1),
    "default_quota_bytes": _whole(0),
    "allowed_extensions": _extensions,
    "blocked_extensions": _extensions,
    "type_mismatch": _one_of("correct", "refuse"),
    "share_max_days": _whole(1),
    "share_password_required": _flag,
    "trash_days": _whole(0),
    "keep_versions": _whole(0),
    "verify_days": _days,
    "session_idle_minutes": _whole(1),
    "session_days": _whole(1),
    "oidc_issuer": _issuer,
    "oidc_client_id": _text,
    "oidc_client_secret": _text,
    "allow_http": _flag,
    "smtp_url": _smtp_url,
    "mail_from": _mail_from,
    "clamd_url": _clamd_url,
    "log_format": _one_of("text", "json"),
}


def load(environ: Mapping[str, str] | None = None, *, port: int | None = None) -> Settings:
    """Read, check and freeze the settings; make the folders and the secret key.

    `port` is what the server listens on: it completes the default `base_url`.
    Raises `ConfigError`.
    """
    environ = os.environ if environ is None else environ
    values = _from_environment(environ)
    instance_dir = values.get("instance_dir", Settings.instance_dir)
    values = {**_from_file(instance_dir / "config.toml"), **values}
    values["instance_dir"] = instance_dir
    if port is not None:
        values.setdefault("base_url", f"http://127.0.0.1:{port}")
    settings = Settings(**values)
    _refuse_unsafe(settings)
    _make_private_folders(settings)
    if not settings.secret_key:
        settings = replace(settings, secret_key=_secret_key_of(settings.instance_dir))
    if not settings.database_url:
        settings = replace(
            settings, database_url=f"sqlite:///{settings.instance_dir / 'portal.db'}"
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether `host` is a name or address of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, raw in environ.items():
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            key = _known(name.removeprefix(PREFIX).lower(), name)
            values[key] = _parsed(key, name, raw)
    return values


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML ({error}); correct it.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    values: dict[str, Any] = {}
    for key, value in content.items():
        where = f"{key} in {path}"
        if key == "instance_dir":
            raise ConfigError(f"{where}: set PORTAL_INSTANCE_DIR in the environment instead.")
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            text = ",".join(value)
        elif isinstance(value, (str, int)):
            text = str(value)
        else:
            raise ConfigError(f"{where}: must be text, a number or true/false.")
        values[_known(key, where)] = _parsed(_known(key, where), where, text)
    return values


def _known(key: str, where: str) -> str:
    if key not in PARSERS:
        raise ConfigError(f"{where}: there is no such setting; remove it or correct its name.")
    return key


def _parsed(key: str, where: str, raw: str) -> Any:
    try:
        return PARSERS[key](raw)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.") from error


def _refuse_unsafe(settings: Settings) -> None:
    parts = urlsplit(settings.base_url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not settings.allow_http:
        raise ConfigError(
            "PORTAL_BASE_URL: plain http would send passwords readably; use https,"
            " or set PORTAL_ALLOW_HTTP=1 for a network you trust."
        )
    _refuse_half_a_provider(settings)
    if settings.smtp_url and not settings.mail_from:
        raise ConfigError(
            "PORTAL_MAIL_FROM: is needed with PORTAL_SMTP_URL; set it to the address that mails"
            " come from."
        )
    inside, outside = settings.files_dir, settings.instance_dir
    if inside == outside:
        raise ConfigError("PORTAL_FILES_DIR: must not be the instance folder; choose another.")
    for folder in (settings.files_dir, settings.instance_dir):
        if folder.is_relative_to(ROOT / "portal" / "static"):
            raise ConfigError(f"{folder}: is served to everybody; choose another folder.")


def _refuse_half_a_provider(settings: Settings) -> None:
    names = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
    missing = [name for name in names if not getattr(settings, name)]
    if missing and len(missing) < len(names):
        what = " and ".join(PREFIX + name.upper() for name in missing)
        raise ConfigError(
            f"{what}: not set; sign-in with a provider takes its issuer, the client id"
            " and the client secret: set all three, or none."
        )


def _make_private_folders(settings: Settings) -> None:
    for name, folder in (
        ("PORTAL_INSTANCE_DIR", settings.instance_dir),
        ("PORTAL_FILES_DIR", settings.files_dir),
    ):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"{name}: {folder} cannot be made private ({error.strerror}); choose another."
            ) from error


def _secret_key_of(instance_dir: Path) -> str:
    """Read the key, or make it: whoever links the complete file first has made it."""
    path = instance_dir / "secret.key"
    if not path.exists():
        draft = instance_dir / f".secret.key.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, secrets.token_urlsafe(48).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        return _secret_key(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; remove it and a new key is made.") from error
