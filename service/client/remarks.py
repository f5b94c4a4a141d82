"""What a report says to a person, in sentences: for the command line, and for a program's log."""

from headgraft.workers.jobs.report import Report


def warnings(report: Report) -> list[str]:
    """Return what to look at before a head is trusted: names, twins, tensors that were left."""
    found = list(report.warnings)
    found += [
        f"class {name!r}: {one.warning}" + (f": {one.advice}" if one.advice else "")
        for name, one in report.outlook.items()
        if one.warning
    ]
    if report.class_sized_tensors:
        left = ", ".join(map(repr, report.class_sized_tensors))
        found.append(f"these tensors have one row a class, too, and were not grown: {left}")
    return found


def grounds(report: Report) -> list[str]:
    """Return which tensors grew, and what the expected figures rest on."""
    found = []
    if report.seen_rows:
        found.append(f"extended: {', '.join(report.seen_rows.sha256_after)}")
    return found + report.reasons + (report.estimate.reasons if report.estimate else [])
