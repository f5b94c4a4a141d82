"""The demo as a stranger runs it: one process, real figures, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from headgraft.service.demo import demo
from headgraft.service.demo.figures import (
    TOP,
    HeadFile,
    nearest_rows,
    old_rows_unchanged,
    place,
    ranking,
    read_head,
    read_pictures,
)
from tests.processes import eventually

COMMAND = (
    "import sys; from headgraft.service.demo.demo import main; from pathlib import Path; "
    "sys.exit(main({}))"
)


@dataclass(frozen=True)
class Ran:
    """What a run of the demo left: what it printed, its files, its scratch folder."""

    code: int
    printed: str
    complained: str
    folder: Path
    scratch: Path


def start(folder: Path, scratch: Path) -> subprocess.Popen[str]:
    scratch.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(f"Path({str(folder)!r})")],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], folder: Path, scratch: Path) -> Ran:
    printed, complained = process.communicate(timeout=240)
    return Ran(process.returncode, printed, complained, folder, scratch)


def left_running(scratch: Path) -> list[psutil.Process]:
    """List the processes that were started with this scratch folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(scratch):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the whole demo once for the tests of its outcome."""
    base = tmp_path_factory.mktemp("demo")
    folder, scratch = base / "out", base / "tmp"
    return finish(start(folder, scratch), folder, scratch)


def unseen() -> tuple[str, ...]:
    return tuple(entry["name"] for entry in demo.read_hidden())


def extended(ran: Ran, kind: str) -> HeadFile:
    return read_head(ran.folder / f"{kind}.safetensors")


def nearest(ran: Ran, kind: str) -> int:
    full = read_head(ran.folder / "lite0.safetensors")
    return nearest_rows(extended(ran, kind), full, unseen())


def test_the_demo_should_end_well_and_fit_a_screen_of_100_columns(ran: Ran) -> None:
    assert ran.code == 0, ran.complained

    table = ran.printed.partition("The heads are")[0]
    assert max(map(len, table.splitlines())) <= 100


def test_pictures_of_hidden_classes_should_be_recognised_after_injection(ran: Ran) -> None:
    pictures = read_pictures(ran.folder / "pictures.npz")
    described, seen = extended(ran, "described"), read_head(ran.folder / "seen.safetensors")

    assert not {"espresso", "missile"} & set(seen.class_names)
    assert place(ranking(described, pictures["coffee.png"]), "espresso") == 1
    assert place(ranking(described, pictures["rocket.jpg"]), "missile") <= TOP


def test_pictures_of_old_classes_should_stay_recognised(ran: Ran) -> None:
    pictures = read_pictures(ran.folder / "pictures.npz")
    described = extended(ran, "described")

    for picture, name in (("camera.png", "tripod"), ("motorcycle_left.png", "moped")):
        assert place(ranking(described, pictures[picture]), name) == 1


def test_injected_rows_should_lie_near_the_hidden_ones_far_above_chance(ran: Ran) -> None:
    assert nearest(ran, "by-name") >= 40  # 1 by chance


def test_descriptions_should_be_worth_much_more_than_bare_names(ran: Ran) -> None:
    assert nearest(ran, "described") >= nearest(ran, "by-name") + 15


def test_the_printed_figures_should_be_those_of_the_files(ran: Ran) -> None:
    line = next(line for line in ran.printed.splitlines() if "nearest to their own" in line)

    figures = [int(word) for word in re.findall(r"\d+", line)]
    assert figures == [100, nearest(ran, "by-name"), nearest(ran, "described"), 1]


def test_the_old_rows_should_be_untouched(ran: Ran) -> None:
    seen = read_head(ran.folder / "seen.safetensors")

    assert all(old_rows_unchanged(extended(ran, kind), seen) for kind in ("by-name", "described"))


def test_a_finished_demo_should_leave_neither_processes_nor_scratch_files(ran: Ran) -> None:
    assert not left_running(ran.scratch)
    assert not list(ran.scratch.iterdir())


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_should_leave_nothing_running(tmp_path: Path, order: signal.Signals) -> None:
    folder, scratch = tmp_path / "out", tmp_path / "tmp"
    process = start(folder, scratch)
    # Once the service's state folder is there, there is something to stop.
    eventually(lambda: list(scratch.glob("headgraft-*/state/lock")), 60, "the service starts")

    process.send_signal(order)
    ran = finish(process, folder, scratch)

    assert ran.code == 130
    assert ran.complained == "demo: stopped, with everything it had started\n"
    assert not left_running(scratch)
    assert not list(scratch.iterdir())


def test_a_killed_demo_should_take_the_service_with_it(tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    process = start(tmp_path / "out", scratch)
    eventually(lambda: list(scratch.glob("headgraft-*/state/url")), 90, "the service is up")

    process.kill()
    process.communicate()

    eventually(lambda: not left_running(scratch), 60, "the service is gone")


def test_a_folder_that_cannot_be_written_should_be_one_clear_line(tmp_path: Path) -> None:
    taken = tmp_path / "out"
    taken.touch()

    ran = finish(start(taken, tmp_path / "tmp"), taken, tmp_path / "tmp")

    assert (ran.code, ran.printed) == (1, "")
    assert ran.complained == f"demo: cannot write into {taken}: File exists\n"
