"""Who asks: API keys, looked up so that the time it takes tells nothing of them, and what each may ask for.

A key itself is never kept, and never in an error or a log: the config has digests, and the table is by a keyed digest
of those, with a secret of this process. So nobody can make a key whose place in the table is near that of another.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from gateway.config import KeySettings
from gateway.refusal import Refusal

MAX_KEY_BYTES = 512
TIER = "x-tidegate-tier"
TENANT = "x-tidegate-tenant"


class Keys:
    """The keys of a config."""

    def __init__(self, keys: Iterable[KeySettings]) -> None:
        self._secret = secrets.token_bytes(32)
        self._table = {self._place(bytes.fromhex(key.sha256)): key for key in keys}

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=32).digest()

    def who(self, headers: Mapping[str, str]) -> KeySettings:
        """Whose key a request has. Raises `Refusal` (401)."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        raw = key.strip().encode(errors="surrogateescape")
        digest = hashlib.sha256(raw[:MAX_KEY_BYTES]).digest()
        found = self._table.get(self._place(digest))
        known = hmac.compare_digest(digest, bytes.fromhex(found.sha256) if found else bytes(32))
        if found is None or not known or scheme.lower() != "bearer" or len(raw) > MAX_KEY_BYTES:
            raise Refusal(401, "unknown-key", "the request has no API key that is known here")
        return found


def tier_of(headers: Mapping[str, str], key: KeySettings, tiers: tuple[str, ...], above_right: str) -> int:
    """The tier of a request, of those that its key may use. Raises `Refusal`.

    A request may repeat its tenant's name, and may name no other.
    """
    if headers.get(TENANT, key.tenant) != key.tenant:
        raise Refusal(403, "foreign-tenant", "the key is another tenant's")
    name = headers.get(TIER)
    if name is None:
        return key.tier
    if name not in tiers:
        raise Refusal(400, "unknown-tier", f"there is no such tier; there are {', '.join(tiers)}")
    tier = tiers.index(name)
    if tier >= key.most_urgent:
        return tier
    if above_right == "demote":
        return key.most_urgent
    raise Refusal(403, "tier-too-urgent", f"the key may use {tiers[key.most_urgent]} and less urgent tiers")
