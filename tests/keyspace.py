"""Holds what lies in Redis against the list in the ledger's docstring: the leak check."""

import re

from headgraft.workers.jobs.spec import TERMINAL
from headgraft.workers.ledger import ledger as documented
from tests.ledger import Ledger

# A name, perhaps with one variable part; then what it is, which ends in `lasting` if it lasts.
ENTRY = re.compile(r"^  ([a-z]+)((?::[A-Z]+)?) {2,}(.+)$", re.MULTILINE)
# Live: without an expiry as long as what they belong to has not ended.
LIVE = {"job": "job", "events": "job", "answer": "job", "delivery": "delivery"}


def leaks(ledger: Ledger) -> list[str]:
    """Return a sentence for every key that is not in the list, or lasts where it should expire."""
    keys = sorted(ledger.client.scan_iter("*"))
    return [sentence for key in keys if (sentence := _defect(ledger, key))]


def _defect(ledger: Ledger, key: str) -> str | None:
    kind, colon, rest = key.removeprefix(ledger.prefix).partition(":")
    is_lasting = _documented().get((kind, bool(colon)))
    if is_lasting is None or bool(colon) != bool(rest):
        return f"{key} is not documented"
    if is_lasting or ledger.client.pttl(key) != -1 or _is_live(ledger, kind, rest):
        return None
    return f"{key} lasts"


def _documented() -> dict[tuple[str, bool], bool]:
    """Return (name, has a variable part) -> whether it lasts."""
    text = documented.__doc__ or ""
    return {
        (name, bool(variable)): about.endswith("lasting")
        for name, variable, about in ENTRY.findall(text)
    }


def _is_live(ledger: Ledger, kind: str, name: str) -> bool:
    if kind not in LIVE:
        return False
    if kind == "answer":
        name = str(ledger.client.hget(ledger.key(kind, name), "id"))
    status = ledger.client.hget(ledger.key(LIVE[kind], name), "status")
    return status is not None and status not in {*TERMINAL, "delivered"}
