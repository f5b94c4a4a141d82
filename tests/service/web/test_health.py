"""The probes of a server that is well; test_problems has the sick ones."""

import httpx


def test_a_server_with_all_it_needs_should_be_alive_and_ready(api: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        response = api.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
