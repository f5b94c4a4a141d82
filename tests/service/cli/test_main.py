"""The command line as a person meets it: what commands print, and how they exit."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from headgraft import Headgraft
from headgraft.service.cli.inject import describe
from headgraft.service.cli.parsing import TypedError, added, parse_settings
from headgraft.service.local.state import StateFolder
from headgraft.service.schemas.injections import InjectionResource
from headgraft.workers.names.class_list import NamesError
from tests import checkpoints, command
from tests.processes import Processes, command_line, eventually, free_port

HEADGRAFT = Path(sys.executable).with_name("headgraft")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a checkpoint and the list of its classes."""
    checkpoints.write(tmp_path / "net.safetensors")
    (tmp_path / "names.txt").write_text("\n".join(checkpoints.class_names(20)))
    return tmp_path


def environment(folder: Path, **variables: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
    state = {"HEADGRAFT_STATE": str(folder / "state"), "HEADGRAFT_DEVICES": "cpu"}
    return {**clean, **state, **variables}


def running(process: psutil.Process, name: str) -> bool:
    """Tell whether something below a process runs a module; it may end while we look."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(name in command_line(one) for one in process.children(recursive=True))
    return False


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return command.headgraft(folder, *arguments, HEADGRAFT_STATE=str(folder / "state"), **variables)


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [HEADGRAFT, *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


def complaint(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr of a command that the user got wrong."""
    assert ran.returncode == 1, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("headgraft: ")]
    assert len(lines) == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    return lines[0]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_checkpoint_should_be_extended_beside_itself(folder: Path, product: Processes) -> None:
    arguments = ["inject", "net.safetensors", "--names", "names.txt", "--url", product.url]
    arguments += ["--add", "zebra: a striped horse", "--add", "okapi", "--method", "ridge"]
    arguments += ["--setting", "scale=1.5", "--prefer", "new", "--max-seen-loss", "5"]
    ran = start(folder, *arguments)
    assert ran.returncode == 0, ran.stderr
    verdict, step, file, expected, *further = ran.stdout.splitlines()
    assert "note: extended: fc.weight, fc.bias" in further
    # Its rows were drawn, not trained.
    assert verdict == "at chance: the rows of the head vary like random numbers, as before training"
    assert step == "what helps most: Send the checkpoint of the trained network."
    assert file.startswith("net+2.safetensors: 20 classes and 2 new ones, by ridge in")
    assert re.fullmatch(
        r"expected, without a picture seen: \d+ % \(0 to \d+\) of new classes recognised; of old "
        "classes nothing is promised",
        expected,
    )
    assert "upload" in ran.stderr
    assert files(folder) == ["names.txt", "net+2.safetensors", "net.safetensors"]

    again = run(folder, *arguments)
    assert "net+2.safetensors exists already; choose with --out, or overwrite" in complaint(again)
    assert run(folder, *arguments, "--force").returncode == 0


def test_the_job_should_be_listed_and_not_cancelled_any_more(
    folder: Path, product: Processes
) -> None:
    with Headgraft(product.url) as client:
        job = client.submit(folder / "net.safetensors", **checkpoints.request()).id
        client.wait(job, timeout_seconds=60)
    listed = run(folder, "jobs", HEADGRAFT_URL=product.url)
    assert re.search(rf"{job} +succeeded +(ridge|icis) +20\+3 +100%", listed.stdout)
    assert "has ended already" in complaint(run(folder, "cancel", job, "--url", product.url))


def test_jobs_should_be_found_by_what_was_said_of_them_and_deleted(
    folder: Path, product: Processes
) -> None:
    url = ("--url", product.url)
    arguments = ["net.safetensors", "--names", "names.txt", "--add", "okapi", "--method", "ridge"]
    ran = run(folder, "inject", *arguments, "--metadata", "project=zoo", *url)
    [job] = re.findall(r"inj_[0-9a-f]+", ran.stdout)

    found = run(folder, "jobs", "--metadata", "project=zoo", "--status", "succeeded", *url)
    assert job in found.stdout, found.stderr
    for other in (("--metadata", "project=ark"), ("--status", "queued"), ("--after", job)):
        assert job not in run(folder, "jobs", *other, *url).stdout
    assert "no metadata" in complaint(run(folder, "jobs", "--metadata", "zoo", *url))
    assert run(folder, "delete", job, *url).stdout == f"{job} deleted\n"
    assert "there is no injection" in complaint(run(folder, "delete", job, *url))


def test_a_report_should_be_printed_or_saved_as_a_page_once(
    folder: Path, product: Processes
) -> None:
    with Headgraft(product.url) as client:
        request = checkpoints.request()
        job = client.wait(client.submit(folder / "net.safetensors", **request).id).id
    url = ("--url", product.url)

    printed = run(folder, "report", job, *url)
    assert json.loads(printed.stdout)["unseen_count"] == 3, printed.stderr
    saved = run(folder, "report", job, "--html", "report.html", *url)
    assert saved.stdout.strip() == "report.html", saved.stderr
    assert "With 3 new classes added" in (folder / "report.html").read_text()
    again = run(folder, "report", job, "--html", "report.html", *url)
    assert complaint(again) == "headgraft: report.html: File exists"
    assert "there is no injection 'inj_0'" in complaint(run(folder, "report", "inj_0", *url))


def test_methods_should_be_listed_with_their_settings(folder: Path, product: Processes) -> None:
    ran = run(folder, "methods", "--url", product.url)
    assert re.search(r"^ridge: .+\n(  \w+=.+\n)*", ran.stdout, re.MULTILINE)


def test_what_the_service_refuses_should_be_one_line(folder: Path, product: Processes) -> None:
    ran = run(
        folder,
        *("inject", "net.safetensors", "--names", "names.txt", "--url", product.url),
        *("--add", "class 1"),
    )
    assert complaint(ran) == "headgraft: --add 'class 1': the head already has a class 'class 1'"
    assert files(folder) == ["names.txt", "net.safetensors"]


def test_a_failed_job_should_say_why(folder: Path, product: Processes) -> None:
    ran = run(
        folder,
        *("inject", "net.safetensors", "--names", "names.txt", "--url", product.url),
        *("--add", "zebra", "--encoder", "nobody-has-it"),
    )
    assert "nobody-has-it" in complaint(ran)


def test_without_a_service_one_should_be_started_for_the_occasion(folder: Path) -> None:
    (folder / "tmp").mkdir()
    ran = start(
        folder,
        *("inject", "net.safetensors", "--names", "names.txt", "--add", "zebra"),
        *("--out", "z.safetensors"),
        TMPDIR=str(folder / "tmp"),
    )
    assert ran.returncode == 0, ran.stderr
    assert files(folder) == ["names.txt", "net.safetensors", "z.safetensors"]
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_started_for_the_occasion_should_end_with_it(
    folder: Path, order: signal.Signals
) -> None:
    process = subprocess.Popen(
        [
            *(HEADGRAFT, "inject", "net.safetensors", "--names", "names.txt", "--add", "zebra"),
            *("--method", "icis", "--setting", "epochs=100000", "--setting", "early_stop=false"),
        ],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started = psutil.Process(process.pid)
    eventually(lambda: running(started, "headgraft.workers.process.child"), 60, "the worker runs")
    family = started.children(recursive=True)
    process.send_signal(order)
    assert process.wait(60) != 0
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert files(folder) == ["names.txt", "net.safetensors"]


def test_a_service_that_runs_here_should_be_used(folder: Path, product: Processes) -> None:
    lock = StateFolder(folder / "state").lock()
    lock.publish("url", product.url)
    ran = run(folder, "inject", "net.safetensors", "--names", "names.txt", "--add", "zebra")
    lock.release()
    assert ran.returncode == 0, ran.stderr
    job = re.search(r"inj_[0-9a-f]+", ran.stdout)
    assert job
    with Headgraft(product.url) as client:
        assert client.injection(job[0]).status == "succeeded"


def test_classes_to_add_should_come_from_a_file_too(folder: Path, product: Processes) -> None:
    (folder / "add.txt").write_text("zebra: a striped horse\n\nokapi\n")
    ran = run(
        folder,
        *("inject", "net.safetensors", "--names", "names.txt", "--url", product.url),
        *("--add-file", "add.txt", "--method", "ridge"),
    )
    assert ran.returncode == 0, ran.stderr
    assert "net+2.safetensors" in files(folder)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inject", "net.safetensors"], "no class to add"),
        (["inject", "none.safetensors", "--add", "a"], "no checkpoint none.safetensors"),
        (["inject", "net.safetensors", "--add", "a", "--out", "no/x.safetensors"], "no folder no"),
        (
            ["inject", "net.safetensors", "--add", "a", "--out", "x.h5"],
            "the suffix '.h5'",
        ),
        (["inject", "net.safetensors", "--add", "a", "--names", "no"], "no: No such file"),
        (["inject", "net.safetensors", "--add", "a", "--setting", "x"], "'x' is no setting"),
        (["jobs", "--url", "localhost"], "'localhost' is no URL of a service"),
        (["worker"], "set HEADGRAFT_REDIS_URL"),
    ],
)
def test_what_is_typed_wrong_should_be_said_in_one_line(
    folder: Path, arguments: list[str], expected: str
) -> None:
    assert expected in complaint(run(folder, *arguments))


def test_nobody_listening_should_say_what_to_start(folder: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert "start it with `headgraft up`" in complaint(run(folder, "jobs", "--url", url))


def test_no_command_should_take_a_key_or_import_torch(folder: Path) -> None:
    for name in ("jobs", "cancel", "report", "methods", "up"):
        assert "--key" not in run(folder, name, "--help").stdout
    assert "the one to extend" in run(folder, "inject", "--help").stdout  # its --key is no secret
    modules = "headgraft.service.cli.main, headgraft.service.cli.doctor"
    program = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_worker_without_torch_should_not_be_needed_to_ask_for_the_version(folder: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(folder, "version").stdout)


def test_a_model_that_no_one_can_pull_should_be_refused(folder: Path) -> None:
    ran = run(folder, "encoders", "pull", "no-such-model:tag")
    assert ran.returncode == 1
    assert "no-such-model" in ran.stderr


def test_the_first_colon_with_a_space_should_divide_name_and_description() -> None:
    typed = added(["zebra", "C3:PO: a robot: golden"], None)
    assert typed.entries == [{"name": "zebra"}, {"name": "C3:PO", "description": "a robot: golden"}]
    with pytest.raises(NamesError, match="names no class"):
        added([": nothing"], None)
    with pytest.raises(TypedError, match="no class to add"):
        added([], None)


def test_settings_should_be_json_where_they_can() -> None:
    assert parse_settings(["a=1", "b=0.5", "c=true", "d=cosine", "e=x=y"]) == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": "cosine",
        "e": "x=y",
    }


def test_a_job_should_be_described_by_what_it_waits_for() -> None:
    waiting: dict[str, Any] = {"status": "queued", "workers_online": 0, "queue_position": 3}
    nothing = InjectionResource.model_construct(**waiting)
    assert describe(nothing) == "queued, no worker online yet"
    assert describe(nothing.model_copy(update={"workers_online": 1})) == "queued, number 3"
    running = {"status": "running", "stage": "training", "loss": 0.12345}
    assert describe(nothing.model_copy(update=running)) == "training, loss 0.1235"
    assert describe(nothing.model_copy(update={**running, "loss": None})) == "training"
