"""Holds what lies in Redis against the list in the ledger's docstring: the leak check."""

import re

from workers import ledger as documented
from workers.jobs import TERMINAL
from workers.ledger import Ledger

# A name, perhaps with one variable part; then what it is, which ends in `lasting` if it lasts.
ENTRY = re.compile(r"^  ([a-z]+)((?::[A-Z]+)?) {2,}(.+)$", re.MULTILINE)
LIVE = ("job", "events", "answer")


def leaks(ledger: Ledger) -> list[str]:
    """Return a sentence for every key that is not in the list, or lasts where it should expire."""
    keys = sorted(ledger.client.scan_iter("*"))
    return [sentence for key in keys if (sentence := _defect(ledger, key))]


def _defect(ledger: Ledger, key: str) -> str | None:
    kind, colon, rest = key.removeprefix(ledger.prefix).partition(":")
    is_lasting = _documented().get((kind, bool(colon)))
    if is_lasting is None or bool(colon) != bool(rest):
        return f"{key} is not documented"
    job = str(ledger.client.hget(key, "id")) if kind == "answer" else rest
    if is_lasting or ledger.client.pttl(key) != -1 or (kind in LIVE and _is_live(ledger, job)):
        return None
    return f"{key} lasts"


def _documented() -> dict[tuple[str, bool], bool]:
    """Return (name, has a variable part) -> whether it lasts."""
    text = documented.__doc__ or ""
    return {
        (name, bool(variable)): about.endswith("lasting")
        for name, variable, about in ENTRY.findall(text)
    }


def _is_live(ledger: Ledger, job: str) -> bool:
    status = ledger.client.hget(ledger.key("job", job), "status")
    return status is not None and status not in TERMINAL
