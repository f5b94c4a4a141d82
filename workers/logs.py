"""One JSON object a log line, on stderr, the same for every process.

Callers bind owners, jobs and attempts to their lines.
"""

import logging
import sys

import structlog

from headgraft.workers.urls import hide_passwords

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def _hide_passwords(_logger: object, _method: str, line: object) -> str:
    """Hide what a library's exception shows of a URL."""
    return hide_passwords(str(line))


def configure(level: str = "INFO") -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
            _hide_passwords,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # They log the URL of every webhook that is called, and some hold a token in their path.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
