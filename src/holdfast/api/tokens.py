"""Bearer tokens of an identity provider: whom they name, once their signature and their claims are found good.

What the provider publishes is found from its address, and its keys are kept; a token that is signed by a key that is
not among them makes us fetch them again, at most every ten seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from holdfast.api.config import OIDCConfig
from holdfast.api.problems import Refused
from holdfast.errors import Forbidden, Unauthorised, UsageError
from holdfast.model.access import Role
from holdfast.model.ids import check_id, check_owner

log = logging.getLogger("holdfast.api")

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
"""Asymmetric ones only: a public key is never taken for a shared secret."""

KEY_TYPES = ("RSA", "EC", "OKP")

AGAIN_SECONDS = 10.0
"""What the provider publishes is fetched no more often for keys that are not known."""

GOOD_SECONDS = 600.0
"""And in any case after so long."""

PATIENCE_SECONDS = 10.0
LEEWAY_SECONDS = 30
LARGEST_BYTES = 1_000_000
LONGEST_TOKEN = 16_000


class Bearer(NamedTuple):
    """Whom a token names. ``role``: None where it names none."""

    subject: str
    name: str
    tenant: str
    role: str | None
    expires_at: float


class Provider:
    """An identity provider.

    Args:
        config: as configured.
        tenant: of everybody, where no claim names it.

    Raises:
        UsageError: its address is not one that can be trusted.
    """

    def __init__(self, config: OIDCConfig, tenant: str) -> None:
        address = urlsplit(config.issuer)
        if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise UsageError(f"oidc.issuer is {config.issuer!r}; it must be https")
        self.config = config
        self._tenant = tenant
        self._document: dict[str, Any] = {}
        self._keys = KeySet([])
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        """What the provider is asked with; made once, since reading the system's certificates takes a while."""
        if self._client is None:
            # On this machine there may be a provider without certificates: none is read for it.
            safe = self.config.issuer.startswith("https:")
            self._client = httpx.AsyncClient(timeout=PATIENCE_SECONDS, verify=safe)
        return self._client

    async def close(self) -> None:
        """Close the connections to the provider."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def verify(self, token: str) -> Bearer:
        """Whom a bearer token names.

        Raises:
            Unauthorised: it is not good.
            Forbidden: it names no tenant.
            Refused: the provider does not answer.
        """
        if not self.config.audience:
            raise Unauthorised("no bearer tokens are taken here: oidc.audience is not set")
        return self.bearer(await self.claims(token, self.config.audience))

    async def claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that is good.

        Args:
            token: as it was sent.
            audience: that it must be for.

        Raises:
            Unauthorised: it is not.
            Refused: the provider does not answer.
        """
        if len(token) > LONGEST_TOKEN:
            raise Unauthorised("the token is too long")
        await self._fetch(GOOD_SECONDS)
        try:
            decoded = self._decode(token)
        except Unauthorised:
            # It may be signed by a key that is newer than those that are known.
            if not await self._fetch(AGAIN_SECONDS):
                raise
            decoded = self._decode(token)
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.config.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            rules.validate(decoded)
        except JoseError as error:
            raise Unauthorised(f"the token is not good here: {error.error}") from None
        return decoded

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthorised(f"the token is not good here: {getattr(error, 'error', 'it cannot be read')}") from None
        if not isinstance(claims, dict):
            raise Unauthorised("the token is not good here: it has no claims")
        return claims

    def bearer(self, claims: Mapping[str, Any]) -> Bearer:
        """Whom claims name.

        Raises:
            Unauthorised: nobody.
            Forbidden: they name no tenant.
        """
        subject = claims.get("sub")
        try:
            check_id(subject, "sub")
            tenant = claim(claims, self.config.tenant_claim) if self.config.tenant_claim else self._tenant
            if tenant is None:
                raise Forbidden(f"the token names no tenant: it has no claim {self.config.tenant_claim!r}")
            tenant = check_owner(tenant, "the tenant")
        except UsageError as error:
            raise Unauthorised(f"the token is not good here: {error}") from None
        name = next((str(claims[one]) for one in ("name", "preferred_username", "email") if claims.get(one)), subject)
        role = _role(claim(claims, self.config.role_claim)) if self.config.role_claim else None
        return Bearer(str(subject), str(name)[:200], tenant, role, float(claims["exp"]))

    async def endpoint(self, name: str) -> str:
        """An address that the provider publishes.

        Raises:
            Refused: it does not answer, or publishes none.
        """
        await self._fetch(GOOD_SECONDS)
        address = self._document.get(name)
        if not isinstance(address, str):
            raise _unavailable(f"the identity provider publishes no {name}")
        return address

    async def _fetch(self, older_seconds: float) -> bool:
        """Fetch what the provider publishes if what we have is older than so; whether that was done.

        Raises:
            Refused: it does not answer, and we have nothing.
        """
        async with self._fetching:
            now = time.monotonic()
            if now - self._fetched_at < older_seconds or now - self._tried_at < AGAIN_SECONDS:
                if not self._document:
                    raise _unavailable("the identity provider did not answer a moment ago")
                return False
            self._tried_at = now
            try:
                issuer = self.config.issuer.rstrip("/")
                document = await _get(self.http, f"{issuer}/.well-known/openid-configuration")
                if document.get("issuer") != self.config.issuer:
                    raise ValueError(f"it says that it is {document.get('issuer')!r}")
                published = await _get(self.http, str(document["jwks_uri"]))
                keys = [one for one in published["keys"] if one.get("kty") in KEY_TYPES and one.get("use") != "enc"]
                self._keys = KeySet.import_key_set({"keys": keys})
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
                log.warning("the identity provider %s is of no use just now: %s", self.config.issuer, error)
                if not self._document:
                    raise _unavailable("the identity provider does not answer as it should") from None
                return False
            self._document, self._fetched_at = document, now
            return True


async def _get(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    async with client.stream("GET", address) as response:
        response.raise_for_status()
        data = b""
        async for part in response.aiter_bytes():
            data += part
            if len(data) > LARGEST_BYTES:
                raise ValueError(f"{address} answers more than {LARGEST_BYTES:,} bytes")
    found = httpx.Response(200, content=data).json()
    if not isinstance(found, dict):
        raise ValueError(f"{address} answers no JSON object")
    return found


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a dotted path, as in ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _role(named: Any) -> str | None:
    """The highest of the roles that are named and are ours."""
    names = named if isinstance(named, list) else [named]
    ours = [role for role in Role if str(role) in names]
    return str(ours[-1]) if ours else None


def _unavailable(detail: str) -> Refused:
    return Refused("sign-in-unavailable", detail, headers={"Retry-After": "10"})
