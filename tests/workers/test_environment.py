"""What processes print where the environment is wrong or Redis away: the variable, no password."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headgraft import __main__ as headgraft
from headgraft.service import server
from headgraft.workers.environment import ConfigError, check_redis_url
from headgraft.workers.process import health, parent
from headgraft.workers.urls import hide_passwords, without_password
from tests import command
from tests.processes import Processes, eventually, free_port

PASSWORD = "hunter2hunter2"
SOUND = {
    "HEADGRAFT_REDIS_URL": f"redis://ada:{PASSWORD}@127.0.0.1:1/0",
    "HEADGRAFT_STORE_URL": "file:///nowhere",
    "HEADGRAFT_API_KEYS": f"ada:{PASSWORD}{PASSWORD}",
    "AWS_ACCESS_KEY_ID": PASSWORD,
    "AWS_SECRET_ACCESS_KEY": PASSWORD,
}
PROGRAMS = {
    "API": ["-m", "headgraft.service.server"],
    "worker": ["-m", "headgraft.workers.process.parent"],
    "child": ["-m", "headgraft.workers.process.child", "cpu"],
    "janitor": ["-m", "headgraft.workers.process.janitor"],
    "health": ["-m", "headgraft.workers.process.health"],
}
Environment = dict[str, str | None]
WRONG: dict[str, Environment] = {
    "HEADGRAFT_STORE_URL is not set": {"HEADGRAFT_STORE_URL": None},
    "HEADGRAFT_REDIS_URL is not set": {"HEADGRAFT_REDIS_URL": None},
    "HEADGRAFT_STORE_URL: must begin": {"HEADGRAFT_STORE_URL": f"http://a:{PASSWORD}@store"},
    "HEADGRAFT_STORE_URL: must be s3": {"HEADGRAFT_STORE_URL": f"s3://a:{PASSWORD}@bucket"},
    "HEADGRAFT_REDIS_URL: must begin": {"HEADGRAFT_REDIS_URL": f"http://:{PASSWORD}@redis"},
    "%2F": {"HEADGRAFT_REDIS_URL": f"redis://:{PASSWORD}/x@redis"},
    "HEADGRAFT_REDIS_URL: is no URL": {"HEADGRAFT_REDIS_URL": f"redis://:{PASSWORD}@redis:port"},
    "HOST:26379/MASTER?db=0": {"HEADGRAFT_REDIS_URL": f"redis+sentinel://:{PASSWORD}@redis"},
    "redis+sentinel://, rediss+sentinel://": {"HEADGRAFT_REDIS_URL": "sentinel://redis/main"},
    "HEADGRAFT_LOG_LEVEL": {"HEADGRAFT_LOG_LEVEL": PASSWORD},
    "HEADGRAFT_RETENTION_SECONDS": {"HEADGRAFT_RETENTION_SECONDS": PASSWORD},
}


def variables(state: Path, changed: Environment) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
    said = {**clean, **SOUND, "HEADGRAFT_STATE": str(state), **changed}
    return {name: value for name, value in said.items() if value is not None}


def ran(
    words: list[str], state: Path, changed: Environment | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=variables(state, changed or {}),
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.mark.parametrize("told", WRONG)
@pytest.mark.parametrize("main", [server.main, parent.main], ids=["API", "worker"])
def test_a_wrong_setting_should_be_one_line_that_names_it(
    tmp_path: Path, main: Callable[[], int], told: str
) -> None:
    check_one_line(command.run(main, ["program"], variables(tmp_path, WRONG[told])), told)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_should_name_a_wrong_setting(tmp_path: Path, program: str) -> None:
    told = next(iter(WRONG))
    check_one_line(ran(PROGRAMS[program], tmp_path, WRONG[told]), told)


def check_one_line(done: subprocess.CompletedProcess[str], told: str) -> None:
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("headgraft: HEADGRAFT_")
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize("url", [f"redis://:{PASSWORD}@redis:port", f"redis://:{PASSWORD}/x@redis"])
@pytest.mark.parametrize("words", ["up --port=0 --no-worker", "keys list", "doctor"])
def test_a_command_should_name_a_wrong_setting_in_one_line(
    tmp_path: Path, words: str, url: str
) -> None:
    environment = variables(tmp_path, {"HEADGRAFT_REDIS_URL": url})

    done = command.run(headgraft.main, ["headgraft", *words.split()], environment)

    assert done.returncode > 0
    lines = [one for one in (done.stdout + done.stderr).splitlines() if "REDIS_URL" in one]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_up_should_name_a_wrong_setting_of_its_worker(tmp_path: Path) -> None:
    arguments = ["-m", "headgraft", "up", "--port=0"]
    wrong: Environment = {"HEADGRAFT_GRACE_SECONDS": "long", "HEADGRAFT_REDIS_URL": None}

    done = ran(arguments, tmp_path, wrong)

    assert done.returncode == 1
    assert done.stderr.startswith("headgraft: HEADGRAFT_GRACE_SECONDS: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("main", "words"), [(health.main, []), (headgraft.main, ["keys", "list"])])
def test_a_redis_that_is_away_should_be_told_without_its_password(
    tmp_path: Path, main: Callable[[], int], words: list[str]
) -> None:
    done = command.run(main, ["program", *words], variables(tmp_path, {}))

    assert done.returncode == 1
    assert "Redis does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_no_log_should_hold_a_password_while_redis_and_store_are_away(tmp_path: Path) -> None:
    processes = Processes(
        tmp_path,
        SOUND["HEADGRAFT_REDIS_URL"],
        {
            **SOUND,
            "HEADGRAFT_STORE_URL": "s3://bucket",
            "AWS_REGION": "x",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ENDPOINT_URL": f"http://ada:{PASSWORD}@127.0.0.1:{free_port()}",
            "HEADGRAFT_LOG_LEVEL": "DEBUG",
        },
    )
    processes.start("headgraft.service.server")
    processes.start("headgraft.workers.process.child", "cpu")
    processes.start("headgraft.workers.process.janitor")
    try:
        for module in ("headgraft.workers.process.child", "headgraft.workers.process.janitor"):
            log = processes.log(module)
            eventually(lambda log=log: "127.0.0.1:1" in log.read_text(), 60, module)  # type: ignore[misc]
        server = processes.log("headgraft.service.server")
        eventually(lambda: "deliveries_not_seen" in server.read_text(), 60, "the API asks Redis")
    finally:
        processes.stop()
    for log in tmp_path.glob("*.log"):
        assert PASSWORD not in log.read_text()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("rediss://u:p@ss@h/2?password=x", "rediss://u:***@h/2"),
        ("redis://:p/w@h", "redis://:***@h"),
        ("redis://pw@h", "redis://:***@h"),
        ("redis://h?password=p@w", "redis://***"),
        ("redis://h:1", "redis://h:1"),
        ("redis+sentinel://u:pw@h:1,g:2/main?db=1", "redis+sentinel://u:***@h:1,g:2/main"),
        ("unix:///run/r.sock?password=x", "unix:///run/r.sock"),
        ("file:///srv/a@b", "file:///srv/a@b"),
        ("u:pw@h", "***"),
    ],
)
def test_no_password_should_be_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_passwords_in_a_text_should_be_hidden() -> None:
    text = "cannot PUT http://ada:pw@h:1/b, nor redis://:pw@h; see http://h:1/a@b"

    assert hide_passwords(text) == (
        "cannot PUT http://ada:***@h:1/b, nor redis://:***@h; see http://h:1/a@b"
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://u:p%2Fw@h:6380/1",
        "redis://u:p@ss@h",
        "unix:///run/r.sock?db=1",
        "unix://u:pw@/run/r.sock",
        "redis://[::1]:6379",
        "redis+sentinel://h/main",
        "redis+sentinel://u:p%2Fw@h:26379,[::1]:26380/main?db=1&sentinel_password=q",
        "rediss+sentinel://h,g/main?ssl_ca_certs=/ca.pem",
    ],
)
def test_a_sound_url_of_redis_should_be_taken(url: str) -> None:
    check_redis_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "pw",
        "redis://u:[pw@h",
        "redis://u:pw\u2100@h",  # no NFKC: the parser shows it whole
        "redis://u:pw?x@h",
        "redis://u:pw#x@h",
        "redis://u:pw@h:99999",
        "redis://u:pw@h?colour=red",
        "redis://u:pw@h?db=pw",
        "unix://run/pw.sock",
        "redis+sentinel://u:pw@h:26379",
        "redis+sentinel://u:pw@h:26379/a/b",
        "redis+sentinel://u:pw@/main",
        "redis+sentinel://u:pw@h,,g/main",
        "redis+sentinel://u:pw@h:99999/main",
        "redis+sentinel://u:pw@h/main?colour=red",
    ],
)
def test_a_url_that_redis_cannot_have_should_be_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_redis_url(url)

    assert "pw" not in str(caught.value)
