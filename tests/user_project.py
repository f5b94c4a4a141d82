"""A user's project with packages named like ours: a program that imports one of them ends."""

from pathlib import Path

PACKAGES = ("models", "service", "workers")


def write(folder: Path) -> Path:
    """Write the packages into a folder and return it."""
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(f"raise SystemExit({package!r})\n")
    return folder
