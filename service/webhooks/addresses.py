"""Decides where a webhook may lead: to public addresses, and to networks the operator allows.

It resolves a name once; whoever connects must go to the very address it returns, since the next
answer for the same name may be another.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass

import httpx
import structlog

URL_CHARACTERS_MAX = 2000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
log = structlog.get_logger("headgraft.addresses")


class AddressError(Exception):
    """The URL leads nowhere, or where it must not; the text is for its owner to read."""


@dataclass(frozen=True)
class Target:
    """A URL and the address that it means now."""

    url: httpx.URL
    address: str


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read comma-separated CIDRs; ValueError names the one that is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def find_target(text: str, allowed: Collection[Network]) -> Target:
    """Resolve a URL; AddressError unless every address of its name may be called. Blocks.

    Plain http goes to allowed networks only: anybody on the way could read the message.
    """
    url = _parse(text)
    addresses = _resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
    is_allowed = [_is_within(address, allowed) for address in addresses]
    if not all(ok or is_public(one) for ok, one in zip(is_allowed, addresses, strict=True)):
        # Which one is told to the operator alone: names of a private network are not for everybody.
        log.warning("webhook_refused", host=url.host, addresses=[str(one) for one in addresses])
        raise AddressError(f"{url.host!r:.80} leads to an address that is not public")
    if url.scheme == "http" and not all(is_allowed):
        raise AddressError("the URL must begin with https://")
    return Target(url, str(addresses[0]))


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the internet at large, however it is written."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _parse(text: str) -> httpx.URL:
    if len(text) > URL_CHARACTERS_MAX:
        raise AddressError(f"the URL has more than {URL_CHARACTERS_MAX} characters")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise AddressError(f"{text!r:.80} is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise AddressError(f"{text!r:.80} is no URL of a server: it must begin with https://")
    if url.userinfo or url.fragment:
        raise AddressError("the URL must hold neither a user name nor a fragment")
    return url


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, OverflowError, ValueError) as error:
        raise AddressError(f"{host!r:.80} cannot be resolved") from error
    return [ipaddress.ip_address(place[0]) for *_, place in found]


def _is_within(address: Address, networks: Collection[Network]) -> bool:
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((inner or address) in network for network in networks)
