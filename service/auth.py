"""Finds out whose key a request carries; it does not know what the owner may see."""

import hmac
from collections.abc import Sequence

SCHEME = "bearer "


def find_owner(keys: Sequence[tuple[str, str]], authorization: str) -> str | None:
    """Return the owner of the key in an Authorization header, None for any other.

    Takes the same time whichever key matches: every key is compared, none shortens the loop.
    """
    scheme, token = authorization[: len(SCHEME)], authorization[len(SCHEME) :].strip()
    given = token.encode("utf-8", "surrogateescape")
    owner = None
    for name, key in keys:
        if hmac.compare_digest(given, key.encode()):
            owner = name
    return owner if scheme.lower() == SCHEME else None
