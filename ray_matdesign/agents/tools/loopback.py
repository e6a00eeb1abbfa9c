"""Which addresses only this machine can reach, or ask from."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(place: str) -> bool:
    """Whether an address, a host or a host with a port is this machine's loopback.

    A name other than ``localhost`` is not, whatever it resolves to: a page of another site may come
    under a name of its own that resolves to 127.0.0.1.

    Args:
        place: Such as ``127.0.0.1``, ``localhost:8000`` or ``[::1]:8000``.
    """
    if set(place) & set("@/?#"):
        return False
    bare = place.count(":") > 1 and "[" not in place  # an IPv6 address without a port
    try:
        host = place if bare else urlsplit(f"//{place}").hostname
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
