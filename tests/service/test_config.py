"""What the environment may say, and how a wrong word in it is told."""

import pytest

from headgraft.service.config import ServiceSettings
from headgraft.service.web.key_limits import limits_of
from headgraft.service.webhooks.policy import policy_of
from headgraft.workers import environment
from headgraft.workers.environment import ConfigError

KEY = "sixteen-letters!"
SOUND = {"HEADGRAFT_REDIS_URL": "redis://redis", "HEADGRAFT_STORE_URL": "file:///srv/store"}


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ServiceSettings:
    """Read settings from exactly this environment."""
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(f"HEADGRAFT_{name.upper()}", raising=False)
    for name, value in (SOUND | variables).items():
        monkeypatch.setenv(name, value)
    return environment.read(ServiceSettings)


def test_the_defaults_should_be_a_service_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch)

    assert (settings.host, settings.port, settings.keys) == ("127.0.0.1", 8000, ())
    assert settings.upload_bytes_max == 8 * 1024**3
    assert settings.metrics_port is None


def test_keys_should_be_read_as_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(
        monkeypatch, HEADGRAFT_API_KEYS=f"ada:{KEY}, b-2:{KEY}:2", HEADGRAFT_HOST="0.0.0.0"
    )

    assert settings.keys == (("ada", KEY), ("b-2", f"{KEY}:2"))
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("HEADGRAFT_API_KEYS", f"Ada:{KEY}", "entry 1"),
        ("HEADGRAFT_API_KEYS", f"ada:{KEY},{KEY}", "entry 2"),
        ("HEADGRAFT_API_KEYS", f"a/b:{KEY}", "entry 1"),
        ("HEADGRAFT_API_KEYS", "ada:short", "at least 16"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", "ada", "entry 1"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", "ada:0", "above 0"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", "ada:1GB", "above 0"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", "ada:" + "9" * 5000, "above 0"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", "ada:1", "entry 1"),
        ("HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY", f"{KEY}:1", "entry 1"),
        ("HEADGRAFT_API_KEYS", "only-15-letters:ada", "entry 1"),
        ("HEADGRAFT_PORT", "0", "HEADGRAFT_PORT"),
        ("HEADGRAFT_STORE_URL", "/srv/store", "file:///"),
        ("HEADGRAFT_LOG_LEVEL", "LOUD", "HEADGRAFT_LOG_LEVEL"),
    ],
)
def test_a_wrong_word_should_be_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(monkeypatch, **{variable: value})

    assert named in str(caught.value)
    assert KEY not in str(caught.value)
    assert "only-15-letters" not in str(caught.value)


def test_a_limit_should_hold_for_its_owner_and_the_general_one_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(
        monkeypatch,
        HEADGRAFT_API_KEYS=f"ada:{KEY},bob:{KEY}b,eve:{KEY}e",
        HEADGRAFT_UPLOAD_BYTES_MAX="1000",
        HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY="ada:10, bob:5000",
    )

    limits = [limits_of(settings, owner).upload_bytes for owner in ("ada", "bob", "eve")]
    assert limits == [10, 5000, 1000]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_should_need_no_key(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert read(monkeypatch, HEADGRAFT_HOST=host).host == host


def test_what_is_missing_should_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SOUND:
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigError, match=r"HEADGRAFT_REDIS_URL[^$]*HEADGRAFT_STORE_URL"):
        environment.read(ServiceSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEADGRAFT_WEBHOOK_ALLOW", "10.0.0.0/99"),
        ("HEADGRAFT_WEBHOOK_BACKOFF_SECONDS", "5,-1"),
    ],
)
def test_a_wrong_word_about_webhooks_should_be_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    settings = read(monkeypatch, **{variable: value})

    with pytest.raises(ConfigError, match=variable):
        policy_of(settings)
