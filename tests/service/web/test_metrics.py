"""What Prometheus sees: counts by route, the queue, and nobody's name."""

import httpx
import pytest

from headgraft.workers.jobs.presence import Presence
from tests.ledger import Ledger
from tests.processes import Processes, free_port
from tests.service.conftest import KEYS
from tests.service.injections.test_routes import created


def test_metrics_should_count_by_route_template_on_their_own_port(
    redis_url: str, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = free_port()
    environment = {
        "HEADGRAFT_METRICS_PORT": str(port),
        "HEADGRAFT_API_KEYS": f"ada:{KEYS['ada']}",
    }
    processes = Processes(tmp_path_factory.mktemp("metrics"), redis_url, environment)
    try:
        processes.start_api()
        headers = {"Authorization": f"Bearer {KEYS['ada']}"}
        with httpx.Client(base_url=processes.url, headers=headers) as client:
            job = created(client)
            client.get(f"/v1/injections/{job}")
            client.get("/v1/injections/inj_1")
            client.request("BREW", "/coffee")
            ledger.announce(Presence(name="w", device="cpu"))
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert client.get("/metrics").status_code == 404
    finally:
        processes.stop()

    lines = text.splitlines()
    series = 'headgraft_request_seconds_count{method="%s",route="%s",status="%s"} 1.0'
    assert series % ("GET", "/v1/injections/{id}", 200) in lines
    assert series % ("GET", "/v1/injections/{id}", 404) in lines
    assert series % ("OTHER", "unmatched", 404) in lines
    assert "headgraft_injections_created_total 1.0" in lines
    assert "headgraft_queue_jobs 1.0" in lines
    assert "headgraft_workers_online 1.0" in lines
    assert "ada" not in text
    assert job not in text
