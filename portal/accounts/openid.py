"""OpenID Connect: what is said to the provider, and what of its answers is believed.

The authorization code flow (OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636), state and
nonce. Nothing here asks the database, so nobody waits for it while the provider is slow.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from portal.config import Settings, is_loopback
from portal.errors import Busy, PortalError
from portal.models import utcnow

log = logging.getLogger(__name__)

#: What an ID token may be signed with: public keys alone. "none" and the HS family, whose key
#: is no secret of the provider's own, are not among them.
ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "Ed25519",
)
SCOPE = "openid email profile"
#: How long the way to the provider and back may take, and how old an ID token may be.
ATTEMPT_LASTS = timedelta(minutes=10)
#: How long what the provider says of itself is believed without asking again.
DESCRIPTION_LASTS = timedelta(hours=1)

#: How far the clocks of the portal and the provider may be apart, in seconds.
_LEEWAY = 60
_CONNECT_SECONDS = 3.05
_READ_SECONDS = 5
#: For one whole answer, however slowly it drips.
_ANSWER_SECONDS = 10
_LONGEST_ANSWER = 256 * 1024
_LONGEST_SUBJECT = 255
#: With more conversations than this at once in a process, the provider is slow or away: those
#: who come then are told so, or every thread of the portal would wait for it.
_CONVERSATIONS = 8
#: What reading something that is not what it should be may raise.
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
#: Errors a provider may send a person back with (RFC 6749, 4.1.2.1; OpenID Connect, 3.1.2.6).
_KNOWN_ERRORS = frozenset(
    {
        *("access_denied", "account_selection_required", "consent_required"),
        *("interaction_required", "invalid_request", "invalid_scope", "login_required"),
        *("registration_not_supported", "request_not_supported", "server_error"),
        *("temporarily_unavailable", "unauthorized_client", "unsupported_response_type"),
    }
)


class ProviderAway(Busy):
    """The provider cannot be reached, or what it says of itself cannot be right.

    `why` is for the log: a stranger is told no more than that it does not work now.
    """

    title = "Sign-in elsewhere does not work just now"
    what = "The service that would sign you in gives no usable answer at this moment."
    cure = (
        "Try again in a few minutes, or sign in with your password."
        " If it goes on, tell the person who runs this portal."
    )

    def __init__(self, why: str) -> None:
        super().__init__(retry_after=30)
        self.why = why


class AttemptRefused(PortalError):
    """Whoever came back did not set out here, or too long ago, or was here already."""

    status = 400
    title = "This sign-in cannot be continued"
    what = "It was begun in another browser or window, took too long, or was finished already."
    cure = "Go to the sign-in page and begin again."
    why = "state"


class TokenRefused(PortalError):
    """What the provider says about the person cannot be believed."""

    status = 401
    title = "Sign-in did not work"
    what = "The answer of the service that signs you in could not be checked."
    cure = "Try again. If it goes on, tell the person who runs this portal."

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class TurnedBack(TokenRefused):
    """The provider sent the person back without signing them in."""

    what = "You came back without having signed in there."
    cure = "Try again, or sign in with your password."


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to the provider and back; kept by the browser that set out, and by no other."""

    #: Comes back with the person: who has another one did not set out here.
    state: str
    #: Comes back inside the ID token: one made for another attempt has another.
    nonce: str
    #: Whoever steals the code on its way cannot use it without this.
    verifier: str
    #: Seconds since the epoch.
    began_at: int
    #: Where the person was going.
    next: str

    @classmethod
    def begin(cls, next_: str) -> Attempt:
        """A new attempt of somebody who was going to `next_`."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, int(utcnow().timestamp()), next_)

    def to_dict(self) -> dict[str, Any]:
        """What the browser keeps."""
        return asdict(self)

    @classmethod
    def returned(cls, kept: dict[str, Any] | None, state: str) -> Attempt:
        """The attempt a browser kept, if `state` is its. Raises `AttemptRefused`."""
        if not kept:
            raise AttemptRefused
        attempt = cls(**kept)
        if not secrets.compare_digest(attempt.state.encode(), state.encode("utf-8", "replace")):
            raise AttemptRefused
        age = utcnow().timestamp() - attempt.began_at
        if not 0 <= age < ATTEMPT_LASTS.total_seconds():
            raise AttemptRefused
        return attempt

    @property
    def challenge(self) -> str:
        """The verifier as the provider gets it at first (RFC 7636, S256)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the provider knows them."""

    issuer: str
    #: The provider's own name for them; never given to somebody else.
    subject: str
    #: As the provider has it; empty if it does not say.
    email: str
    #: Whether the provider says that the address is theirs.
    is_verified: bool
    name: str


@dataclass(frozen=True, slots=True)
class _Description:
    """What a provider says of itself (OpenID Connect Discovery 1.0)."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    #: Whether the secret goes into the form instead of the header.
    takes_secret_in_form: bool
    known_since: datetime


class Provider:
    """The provider of the settings; remembers for a while what it says of itself."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._redirect_uri = f"{settings.base_url}/login/oidc/callback"
        self._description: _Description | None = None
        self._keys: tuple[datetime, Any] | None = None
        self._conversations = threading.BoundedSemaphore(_CONVERSATIONS)

    def sign_in_address(self, attempt: Attempt) -> str:
        """Where `attempt` leads. Raises `ProviderAway`."""
        endpoint = self._describe().authorization_endpoint
        question = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._redirect_uri,
                "scope": SCOPE,
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": attempt.challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{question}"

    def person(self, attempt: Attempt, answer: dict[str, str]) -> Person:
        """Who came back with `answer`, the fields of the address they came back to.

        Raises `TokenRefused` where the provider's word cannot be believed, `TurnedBack` where it
        signed nobody in, `ProviderAway` where it gives no answer.
        """
        # Who answers may be told (RFC 9207): no other provider's code goes to this one.
        if answer.get("iss", self.issuer) != self.issuer:
            raise TokenRefused("issuer")
        if "error" in answer:
            error = answer["error"]
            raise TurnedBack(error if error in _KNOWN_ERRORS else "unknown error")
        if not answer.get("code"):
            raise TurnedBack("no code")
        tokens = self._exchange(answer["code"], attempt)
        claims = self._check(tokens.get("id_token"), attempt)
        said = claims if "email" in claims else self._ask_about(claims, tokens)
        return Person(
            issuer=self.issuer,
            subject=claims["sub"],
            email=_text(said.get("email")),
            # Nothing but `true`: some say "false", which is not empty.
            is_verified=said.get("email_verified") is True,
            name=_text(said.get("name")) or _text(claims.get("name")),
        )

    # -- What is asked -------------------------------------------------------------------------

    def _describe(self) -> _Description:
        known = self._description
        if known is None or utcnow() - known.known_since > DESCRIPTION_LASTS:
            address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            known = self._description = self._read_description(self._ask("GET", address)[1])
        return known

    def _read_description(self, told: dict[str, Any]) -> _Description:
        if told.get("issuer") != self.issuer:
            raise _away(f"it calls itself {told.get('issuer')!r}, not {self.issuer!r}")
        methods = told.get("token_endpoint_auth_methods_supported")
        if not isinstance(methods, list):
            methods = ["client_secret_basic"]  # what holds where nothing is said
        return _Description(
            authorization_endpoint=self._endpoint(told, "authorization_endpoint"),
            token_endpoint=self._endpoint(told, "token_endpoint"),
            userinfo_endpoint=(
                self._endpoint(told, "userinfo_endpoint") if told.get("userinfo_endpoint") else ""
            ),
            jwks_uri=self._endpoint(told, "jwks_uri"),
            takes_secret_in_form=(
                "client_secret_basic" not in methods and "client_secret_post" in methods
            ),
            known_since=utcnow(),
        )

    def _endpoint(self, told: dict[str, Any], name: str) -> str:
        """An address the provider names; as safe to ask as the issuer's own."""
        address = _text(told.get(name))
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise _away(f"its {name} is no address") from error
        on_this_machine = is_loopback(urlsplit(self.issuer).hostname or "")
        is_plain = parts.scheme == "http" and on_this_machine and is_loopback(parts.hostname or "")
        if not parts.hostname or parts.fragment or not (parts.scheme == "https" or is_plain):
            raise _away(f"its {name} is no https address")
        return address

    def _exchange(self, code: str, attempt: Attempt) -> dict[str, Any]:
        description = self._describe()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        if description.takes_secret_in_form:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        else:
            # Both are encoded before they are joined (RFC 6749, 2.3.1).
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        status, answer = self._ask("POST", description.token_endpoint, headers, form)
        if status == 200:
            return answer
        error = answer.get("error")
        if status in {400, 401} and error == "invalid_grant":
            raise TokenRefused("code")
        raise _away(f"its token endpoint answered {status}, {error!r}")

    def _ask_about(self, claims: dict[str, Any], tokens: dict[str, Any]) -> dict[str, Any]:
        """What the userinfo endpoint says of the person of the ID token."""
        endpoint, token = self._describe().userinfo_endpoint, _text(tokens.get("access_token"))
        if not endpoint or not token:
            return {}
        status, told = self._ask("GET", endpoint, {"Authorization": f"Bearer {token}"})
        if status != 200:
            raise _away(f"its userinfo endpoint answered {status}")
        # Another person's address would open another person's account (Core, 5.3.2).
        if told.get("sub") != claims["sub"]:
            raise TokenRefused("userinfo of somebody else")
        return told

    # -- What is believed ----------------------------------------------------------------------

    def _check(self, token: Any, attempt: Attempt) -> dict[str, Any]:
        """The claims of an ID token, once all of it is right (OpenID Connect Core, 3.1.3.7)."""
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jwt import JWTClaimsRegistry

        if not isinstance(token, str):
            raise TokenRefused("no ID token")
        try:
            try:
                claims = self._verified(token, self._key_set())
            except InvalidKeyIdError:  # signed with a key that is newer than what is known
                claims = self._verified(token, self._key_set(anew=True))
            JWTClaimsRegistry(
                leeway=_LEEWAY,
                iss={"essential": True, "value": self.issuer},
                sub={"essential": True},
                aud={"essential": True, "value": self._client_id},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": attempt.nonce},
            ).validate(claims)
            self._check_more(claims)
        except (JoseError, *_NONSENSE) as error:
            log.warning("an ID token of %s was refused: %s", self.issuer, error)
            raise TokenRefused(f"ID token: {_cause(error)}") from error
        return claims

    def _check_more(self, claims: dict[str, Any]) -> None:
        """What the library leaves to whoever asks."""
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        party = claims.get("azp", None if len(audience) > 1 else self._client_id)
        if party != self._client_id:
            raise TokenRefused("ID token: azp")
        if not isinstance(claims["nonce"], str):
            raise TokenRefused("ID token: nonce")
        if utcnow().timestamp() - claims["iat"] > ATTEMPT_LASTS.total_seconds() + _LEEWAY:
            raise TokenRefused("ID token: iat")
        if len(claims["sub"]) > _LONGEST_SUBJECT or not claims["sub"].isprintable():
            raise TokenRefused("ID token: sub")

    @staticmethod
    def _verified(token: str, keys: Any) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.jws import JWSRegistry

        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        return jwt.decode(token, keys, algorithms=ALGORITHMS, registry=registry).claims

    def _key_set(self, *, anew: bool = False) -> Any:
        from joserfc.jwk import KeySet

        kept = self._keys
        if kept is None or anew or utcnow() - kept[0] > DESCRIPTION_LASTS:
            status, told = self._ask("GET", self._describe().jwks_uri)
            if status != 200 or not isinstance(told.get("keys"), list):
                raise _away(f"it answered {status} when asked for its keys")
            kept = self._keys = utcnow(), KeySet(list(_public_keys(told["keys"])))
        return kept[1]

    # -- On the wire ---------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        address: str,
        headers: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of an answer. Raises `ProviderAway`.

        Bounded in time and size; a redirect is not followed, wherever it leads.
        """
        if not self._conversations.acquire(blocking=False):
            raise _away("too many conversations with it at once")
        try:
            status, body = _converse(method, address, headers or {}, form)
        finally:
            self._conversations.release()
        try:
            answer = json.loads(body)
        except _NONSENSE as error:
            raise _away(f"{_place(address)} answered {status} without JSON") from error
        if not isinstance(answer, dict) or status >= 500 or 300 <= status < 400:
            raise _away(f"{_place(address)} answered {status}")
        return status, answer


def _public_keys(told: list[Any]) -> Iterator[Any]:
    """The keys of a key set that can check a signature; others are passed over (RFC 7517, 5)."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    for key in told:
        # An "oct" is a shared secret, and signs nothing here.
        if isinstance(key, dict) and key.get("kty") != "oct" and key.get("use", "sig") == "sig":
            with suppress(JoseError, *_NONSENSE):
                yield import_key(key)


def _converse(
    method: str, address: str, headers: dict[str, str], form: dict[str, str] | None
) -> tuple[int, bytes]:
    # Late: only a process in which somebody signs in this way pays for the import.
    import requests
    from urllib3.exceptions import HTTPError

    began = time.monotonic()
    body = bytearray()
    try:
        with requests.request(
            method,
            address,
            # Not compressed: what is counted is what comes.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            data=form,
            # Or a .netrc of the account the portal runs under would replace our header.
            auth=_as_it_is,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as response:
            while piece := response.raw.read1(16_384, decode_content=False):
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise _away(f"{_place(address)} answered more than {_LONGEST_ANSWER} bytes")
                if time.monotonic() - began > _ANSWER_SECONDS:
                    raise _away(f"{_place(address)} took too long")
            return response.status_code, bytes(body)
    except (requests.RequestException, HTTPError, OSError) as error:
        raise _away(f"{_place(address)} cannot be asked: {type(error).__name__}") from error


def _as_it_is(request: Any) -> Any:
    return request


def _away(problem: str) -> ProviderAway:
    log.warning("the sign-in provider: %s", problem)
    return ProviderAway(problem)


def _place(address: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _cause(error: Exception) -> str:
    """One word for the audit log: the claim at fault, or what kind of fault it is."""
    return str(getattr(error, "claim", "") or getattr(error, "error", "") or type(error).__name__)
