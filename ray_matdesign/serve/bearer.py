"""Whether a request bears the token it must."""

from __future__ import annotations

import hmac


def bears(authorization: str, token: str) -> bool:
    """Whether an ``Authorization`` header holds a token.

    Args:
        authorization: The header's value; empty without one.
        token: The right one.
    """
    scheme, _, given = authorization.partition(" ")
    # Compared as bytes: a header may hold what is not ASCII.
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and same
