"""Where a webhook may lead, whatever way its address is written."""

import ipaddress

import httpx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headgraft.service.webhooks.addresses import (
    AddressError,
    find_target,
    is_public,
    parse_networks,
)

LOOPBACK = parse_networks("127.0.0.0/8, ::1")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "2852039166",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[fd00:ec2::254]",
    ],
)
def test_what_is_not_public_should_be_refused(host: str) -> None:
    for scheme in ("https", "http"):
        with pytest.raises(AddressError, match=r"not public|cannot be resolved|no URL"):
            find_target(f"{scheme}://{host}/hook", ())


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1", "::ffff:93.184.215.14"])
def test_what_is_public_should_be_taken_as_it_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    target = find_target(f"https://{host}:8443/hook?x=1", ())
    assert ipaddress.ip_address(target.address) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.215.14/",
        "ftp://93.184.215.14/",
        "https:///hook",
        "//93.184.215.14/",
        "hook",
        "https://ada:secret@93.184.215.14/",
        "https://93.184.215.14/#part",
        "https://93.184.215.14:port/",
        "https://" + "a" * 70 + ".example/",
        "https://a..b/",
        "https://93.184.215.14/" + "a" * 2000,
        "https://nobody.invalid/",
    ],
)
def test_what_is_no_address_to_call_should_be_refused(url: str) -> None:
    with pytest.raises(AddressError) as caught:
        find_target(url, ())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]"])
def test_an_allowed_network_should_be_reached_also_without_tls(host: str) -> None:
    assert find_target(f"http://{host}/hook", LOOPBACK).url.host
    with pytest.raises(AddressError):
        find_target("http://10.0.0.1/hook", LOOPBACK)


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("https://{}{}".format, st.text(max_size=30), st.text(max_size=30)),
        st.builds("https://[{}]:{}/".format, st.text("0123456789abcdef:.%"), st.integers()),
        st.builds("https://{}/".format, st.integers(0, 2**33)),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_should_be_refused_or_lead_to_the_internet(text: str) -> None:
    """Names are left out: they would be asked for."""
    try:
        host = httpx.URL(text).host
    except (httpx.InvalidURL, ValueError):
        host = ""
    assume(not any(letter.isalpha() for letter in host.strip("[]").replace("x", "")))
    try:
        target = find_target(text, ())
    except AddressError as error:
        assert str(error)  # noqa: PT017  # either way is right
    else:
        assert is_public(ipaddress.ip_address(target.address))


def test_a_network_that_is_none_should_be_told() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        parse_networks("127.0.0.0/8,10.0.0.0/33")
