"""What the HTTP front end reads from its environment; it opens nothing that it names."""

import re
from functools import cached_property
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from headgraft.workers.environment import SETTINGS, LogLevel, RedisUrl, StoreUrl

GIB = 1024**3
MIB = 1024**2
KEY_CHARACTERS_MIN = 16
LOCAL_OWNER = "local"
# What https://www.standardwebhooks.com recommends: three days in all.
WEBHOOK_BACKOFF_SECONDS = "5,300,1800,7200,18000,36000,50400,72000,86400"
OWNER_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class ServiceSettings(BaseSettings):
    """`HEADGRAFT_*` variables; see the README's table."""

    model_config = SETTINGS

    redis_url: RedisUrl = Field(
        description="redis://, rediss://, unix:// or redis+sentinel:// URL of the ledger's Redis"
    )
    store_url: StoreUrl = Field(description="file:// or s3:// URL of the artifact store")
    api_keys: SecretStr = Field(
        default=SecretStr(""), description="owner:key pairs, comma-separated; without: loopback"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65_535, description="port to listen on")
    upload_bytes_max: int = Field(default=8 * GIB, gt=0, description="largest checkpoint")
    upload_bytes_max_per_key: str = Field(
        default="",
        description="owner:bytes pairs, comma-separated: the largest checkpoint of these owners",
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="requests of a key in a minute; without: any number"
    )
    jobs_max: int | None = Field(
        default=None, ge=1, description="an owner's jobs queued or running at once"
    )
    stored_bytes_max: int | None = Field(
        default=None, ge=1, description="most bytes of an owner in the store"
    )
    request_bytes_max: int = Field(default=32 * MIB, gt=0, description="largest JSON request")
    retention_seconds: float = Field(
        default=7 * 86_400, gt=0, description="life of ended jobs and their files"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="port of /metrics; without: no metrics"
    )
    webhook_allow: str = Field(
        default="", description="CIDRs, comma-separated: private networks that webhooks may reach"
    )
    webhook_backoff_seconds: str = Field(
        default=WEBHOOK_BACKOFF_SECONDS, description="pauses between attempts at a webhook"
    )
    webhook_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="most time that a call of a webhook may take"
    )
    log_level: LogLevel = Field(default="INFO", description="least level that is logged")

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        owners = {owner for owner, _ in self.keys}
        for number, owner in enumerate(self.upload_limits, 1):
            if owner not in owners:
                # Not by name: who takes "per key" at its word writes a key there.
                raise ValueError(
                    f"entry {number} of HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY names an owner who has "
                    "no key in HEADGRAFT_API_KEYS"
                )
        return self

    @cached_property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The (owner, key) pairs; none means that everybody is the owner `local`."""
        listed = self.api_keys.get_secret_value().split(",")
        return tuple(_parse_key(number, text) for number, text in enumerate(listed, 1) if text)

    @cached_property
    def upload_limits(self) -> dict[str, int]:
        """The largest checkpoint in bytes, of the owners who have a limit of their own."""
        listed = self.upload_bytes_max_per_key.split(",")
        return dict(_parse_limit(number, text) for number, text in enumerate(listed, 1) if text)


def _parse_key(number: int, text: str) -> tuple[str, str]:
    owner, colon, key = text.strip().partition(":")
    if not colon or not OWNER_PATTERN.fullmatch(owner):
        raise ValueError(
            f"entry {number} of HEADGRAFT_API_KEYS must be owner:key, the owner of at most 63 "
            "characters a-z, 0-9, _ and -"
        )
    if len(key) < KEY_CHARACTERS_MIN or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            f"entry {number} of HEADGRAFT_API_KEYS must be owner:key, the key of at least "
            f"{KEY_CHARACTERS_MIN} printable ASCII characters without spaces"
        )
    return owner, key


def _parse_limit(number: int, text: str) -> tuple[str, int]:
    owner, _, size = text.strip().partition(":")
    # So many digits that none can be too many to read.
    if not re.fullmatch(r"0*[1-9][0-9]{0,18}", size):
        raise ValueError(
            f"entry {number} of HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY must be owner:bytes, the bytes "
            "a whole number above 0"
        )
    return owner, int(size)
