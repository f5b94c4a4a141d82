"""What a report warns of, in sentences: for the command line, and for a program's log."""

from headgraft.workers.jobs.report import Report


def remarks(report: Report) -> list[str]:
    """Return what to look at before trusting a head: names, twins, tensors left, grounds."""
    found = list(report.warnings)
    found += [
        f"class {name!r}: {one.warning}" + (f": {one.advice}" if one.advice else "")
        for name, one in report.outlook.items()
        if one.warning
    ]
    if report.class_sized_tensors:
        left = ", ".join(map(repr, report.class_sized_tensors))
        found.append(f"these tensors have one row a class, too, and were not grown: {left}")
    found += report.reasons
    if report.estimate:
        found += report.estimate.reasons
    return found
