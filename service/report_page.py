"""Whether a client wants the report as data or as a page, and under which rules the page is shown.

It knows nothing of what the page says.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Format = Literal["json", "html"]
PAGE_FILE = "report.html"
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "html": "text/html; charset=utf-8"}
# From the most telling range to the least.
RANGES: dict[Format, tuple[str, ...]] = {
    "json": ("application/json", "application/*", "*/*"),
    "html": ("text/html", "text/*", "*/*"),
}


def wanted(asked: Format | None, accept: Sequence[str]) -> Format:
    """Return what was asked for, else what the Accept headers prefer; JSON where it is a tie."""
    if asked:
        return asked
    qualities = _qualities(",".join(accept))
    return "html" if _quality("html", qualities) > _quality("json", qualities) else "json"


def headers(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that let a page use its own style and nothing else."""
    style = manifest["page"]["style_source"]
    policy = (
        "default-src 'none'",
        f"style-src '{style}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _qualities(accept: str) -> dict[str, float]:
    """Read media ranges with their q; parameters other than q do not tell our formats apart."""
    found: dict[str, float] = {}
    for entry in accept.split(","):
        media, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = _read_q(parameters)
        found[media] = max(quality, found.get(media, 0.0))
    return found


def _read_q(parameters: Sequence[str]) -> float:
    given = [value for name, _, value in (one.partition("=") for one in parameters) if name == "q"]
    try:
        quality = float(given[0]) if given else 1.0
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _quality(kind: Format, qualities: Mapping[str, float]) -> float:
    return next((qualities[media] for media in RANGES[kind] if media in qualities), 0.0)
