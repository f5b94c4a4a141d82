"""What a client sees when nobody is there to run its job."""

from pathlib import Path

from tests import checkpoints
from tests.fundamentals import client
from tests.processes import Processes


def test_a_job_without_workers_should_wait_and_say_so(processes: Processes, folder: Path) -> None:
    uploaded = checkpoints.write(folder / "in.safetensors")
    first = client.post(processes.url, uploaded, checkpoints.request())
    second = client.post(processes.url, uploaded, checkpoints.request())
    assert (first["workers_online"], first["queue_position"]) == (0, 1)
    assert client.look(processes.url, second["id"])["queue_position"] == 2


def test_a_queued_job_should_be_cancelled_without_any_worker(
    processes: Processes, folder: Path
) -> None:
    uploaded = checkpoints.write(folder / "in.safetensors")
    queued = client.post(processes.url, uploaded, checkpoints.request())
    assert client.cancel(processes.url, queued["id"]).status_code == 200
    assert client.look(processes.url, queued["id"])["status"] == "cancelled"
