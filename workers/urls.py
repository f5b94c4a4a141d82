"""Tells whether a URL leads to this machine, and what of it may be shown."""

import ipaddress
import re

# `user:password@` in the URLs of a longer text.
PASSWORD = re.compile(r"(://[^\s/:@\"']*):[^\s/@\"']*@")


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def without_password(url: str) -> str:
    """Return a URL that may be shown: neither password nor query."""
    scheme, mark, rest = url.partition("://")
    if scheme == "file":
        return url
    if not mark:
        return "***" if "@" in url else url
    user, at, place = rest.rpartition("@")
    if "?" in user or "#" in user:  # which part is the password cannot be told
        return f"{scheme}://***"
    host = re.split(r"[?#]", place, maxsplit=1)[0]
    if not at:
        return f"{scheme}://{host}"
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name if colon else ''}:***@{host}"


def hide_passwords(text: str) -> str:
    """Return a text without the passwords of the URLs in it."""
    return PASSWORD.sub(r"\1:***@", text)
