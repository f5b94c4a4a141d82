"""What a worker reads from its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from headgraft.workers.environment import SETTINGS, LogLevel, RedisUrl, StoreUrl


class WorkerSettings(BaseSettings):
    """`HEADGRAFT_*` variables; see the README's table."""

    model_config = SETTINGS

    redis_url: RedisUrl = Field(
        description="redis://, rediss://, unix:// or redis+sentinel:// URL of the ledger's Redis"
    )
    store_url: StoreUrl = Field(description="file:// or s3:// URL of the artifact store")
    encoders: Path | None = Field(default=None, description="folder of open_clip local-dir models")
    cache: Path | None = Field(default=None, description="folder of cached text features")
    devices: str | None = Field(
        default=None, description="comma-separated torch devices, one child each; default: all GPUs"
    )
    convert_memory_bytes: int = Field(
        default=16 * 1024**3, gt=0, description="most memory that reading a torch file may take"
    )
    convert_seconds: float = Field(
        default=600.0, gt=0, description="most time that reading a torch file may take"
    )
    lease_seconds: float = Field(default=15.0, ge=0.4, description="after this silence a job moves")
    grace_seconds: float = Field(default=60.0, ge=0, description="time a job gets on SIGTERM")
    retention_seconds: float = Field(
        default=7 * 86_400, gt=0, description="life of ended jobs and their files"
    )
    log_level: LogLevel = Field(default="INFO", description="least level that is logged")
