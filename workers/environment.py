"""Reads settings from the environment; an error names the variable and never shows its value."""

import re
import sys
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import redis
from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from headgraft.workers import sentinel

PREFIX = "HEADGRAFT_"
REDIS_SCHEMES = ("redis", "rediss", "unix", *sentinel.SCHEMES)
SENTINEL_FORM = "redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/MASTER?db=0"
SETTINGS = SettingsConfigDict(
    env_prefix=PREFIX,
    extra="ignore",
    frozen=True,
    # pydantic shows the whole environment of a failed model otherwise: passwords and keys.
    hide_input_in_errors=True,
)

S = TypeVar("S", bound=BaseSettings)


class ConfigError(ValueError):
    """The environment is wrong; the text names the variable and what to set, and no value."""


def read(settings: type[S]) -> S:
    """Read settings; ConfigError with one line for each defect."""
    try:
        return settings()
    except ValidationError as error:
        lines = [_explain(settings, one["loc"], one["type"], one["msg"]) for one in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def read_or_exit(settings: type[S]) -> S:
    """Read settings; where they are wrong, say so on stderr and end the process with code 2."""
    try:
        return read(settings)
    except ConfigError as error:
        sys.stderr.write(f"headgraft: {error}\n")
        raise SystemExit(2) from None


def _explain(
    settings: type[BaseSettings], place: tuple[int | str, ...], kind: str, message: str
) -> str:
    message = message.removeprefix("Value error, ")
    if not place:
        return message
    name = str(place[0])
    variable = f"{PREFIX}{name.upper()}"
    if kind == "missing":
        return f"{variable} is not set: set it to a {settings.model_fields[name].description}"
    return f"{variable}: {message}"


def check_redis_url(url: str) -> None:
    """Return where a client can be made of a URL; ConfigError where not.

    The texts of the URL parser and of redis-py show parts of a password with reserved characters.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in REDIS_SCHEMES:
        legal = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        raise ConfigError(f"must begin with one of {legal}")
    form = SENTINEL_FORM if sentinel.is_sentinel(url) else "redis://USER:PASSWORD@HOST:6379/0"
    is_odd = f"is no URL of a Redis server; it looks like {form}"
    try:
        place = urlsplit(url).netloc
    except ValueError:
        raise ConfigError(is_odd) from None
    if "@" in rest.removeprefix(place).partition("?")[0] or ("@" in rest and "@" not in place):
        raise ConfigError(
            "in a user name or password, write / as %2F, ? as %3F, # as %23 and @ as %40"
        )
    if scheme == "unix" and place and not place.endswith("@"):
        raise ConfigError("after unix:// comes the absolute path of a socket")
    try:
        found = sentinel.client(url) if sentinel.is_sentinel(url) else redis.Redis.from_url(url)
        found.connection_pool.make_connection()
    except (ValueError, TypeError):
        raise ConfigError(is_odd) from None


def _checked_redis_url(url: SecretStr) -> SecretStr:
    check_redis_url(url.get_secret_value())
    return url


def _checked_store_url(url: str) -> str:
    if not url.startswith(("file:///", "s3://")):
        raise ConfigError("must begin with file:/// or s3://")
    if url.startswith("s3://") and re.search(r"[@?#]", url):
        raise ConfigError(
            "must be s3://BUCKET/PREFIX alone; credentials go into AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_checked_redis_url)]
StoreUrl = Annotated[str, AfterValidator(_checked_store_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)]
