"""Names and addresses of hosts, as client and service read them."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
