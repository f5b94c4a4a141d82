"""Makes reports as a run writes them, of any size and any names, for the tests of the page."""

from collections.abc import Sequence
from typing import Any

from headgraft.workers.jobs.report import Report

HOSTILE = "</script><img src=x onerror=alert(1)>"
NAMES = (
    HOSTILE,
    "$\\frac{a}{b}$",
    "一種名字很長的動物" * 12,
    "قطة برية صغيرة",
    "x" * 200,
    "b\u202ea\u0007",
    "{{ 7 * 7 }}",
    "@0@",
    "new-rows",
    '"it\'s" & <b>',
)


def figure(value: float) -> dict[str, float]:
    """Return an expected accuracy with its interval."""
    return {"value": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1)}


def estimate(u: float = 0.6, s: float = 0.75) -> dict[str, Any]:
    """Return an estimate."""
    shares = {"T1": min(1.0, u + 0.1), "u": u, "s": s, "H": 2 * u * s / (u + s)}
    reasons = ["estimated without a picture"]
    return {**{name: figure(share) for name, share in shares.items()}, "reasons": reasons}


def tried(method: str, u: float = 0.6, **settings: Any) -> dict[str, Any]:
    """Return a line of the table of candidates."""
    about = {"method": method, "settings": settings, "estimate": estimate(u)}
    return {**about, "seconds": 0.25, "fits": 1, "skipped": None}


def read(document: dict[str, Any]) -> Report:
    """Return a report as the code has it."""
    return Report.model_validate(document)


def report(names: Sequence[str] = NAMES, seen: int = 20) -> dict[str, Any]:
    """Return the report of a calibrated run; the first class is the least certain."""
    shares = [(number + 1) / (len(names) + 1) for number in range(len(names))]
    nearest = [[f"class {number}", 0.5 - number / 10] for number in range(min(5, seen))]
    digests = {"fc.weight": "0123" * 16, "fc.bias": "abcd" * 16}
    return {
        **plain(names, seen),
        "verdict": {
            "level": "poor",
            "reason": f"little is known of {names[0]!r}",
            "next_step": {
                "action": "describe_the_classes",
                "text": "Describe the new classes.",
                "gain": "typically 13 points of H",
            },
        },
        "old_classes_at_risk": [{"name": HOSTILE, "loss": 0.123, "to": names[0]}],
        "calibration": {"scale": 1.4, "equal_distance": True, "bias_shift": 0.0},
        "estimate": estimate(),
        "tried": [
            tried("ridge", gamma=2.0),
            tried("ridge", 0.5, gamma=4.0),
            {**tried("icis"), "estimate": None, "skipped": "skipped: it would take about 300 s"},
        ],
        "curve": [
            {"scale": 1 + step / 5, "u": step / 5, "s": 1 - step / 6, "H": 0.5, "chosen": step == 2}
            for step in range(5)
        ],
        "outlook": {
            name: {
                "name": name,
                "confidence": share,
                "nearest": nearest,
                "warning": "nothing related is known" if share < 0.3 else None,
                "advice": "Add a one-line description." if share < 0.3 else None,
            }
            for name, share in zip(names, shares, strict=True)
        },
        "raw_norms": [2 + share for share in shares],
        "map": {
            "seen": [[number / seen, (7 * number % 5) / 5] for number in range(seen)],
            "unseen": [[share, 1 - share] for share in shares],
        },
        "seen_rows": {
            "sha256_before": digests,
            "sha256_after": dict(digests),
            "bit_identical": True,
        },
    }


def plain(names: Sequence[str] = NAMES, seen: int = 20) -> dict[str, Any]:
    """Return the report of a run without calibration."""
    nearest = [{"class": f"class {number}", "cosine": 0.25} for number in range(min(5, seen))]
    return {
        "schema": 1,
        "kind": "rows",
        "method": "ridge",
        "settings": {"gamma": 2.0, "ridge": 0.1},
        "asked": {"method": "auto", "settings": {}},
        "seen_count": seen,
        "unseen_count": len(names),
        "head": {"weight": "fc.weight", "bias": "fc.bias", "feature_size": 16, "dtype": "F32"},
        "class_sized_tensors": [],
        "norms": {
            "seen_mean": 2.0,
            "seen_min": 1.5,
            "seen_max": 3.0,
            "unseen": dict.fromkeys(names, 2.5),
        },
        "nearest_seen_classes": dict.fromkeys(names, nearest),
        "converted": None,
        "seconds": {"load": 0.01, "synthesize": 0.5},
    }
