"""The command `headgraft`, also as `python -m headgraft`: the command line, if it is installed."""

import sys

NEEDS_MORE = "the command line needs more than the client: pip install 'headgraft[service]'"
CODE_OF_MISSING_PACKAGES = 2


def main() -> int:
    """Run the command line; 2, and one line on stderr, where the client alone is installed."""
    try:
        from headgraft.service.cli.main import main as run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        # A missing module of Headgraft or of Python itself is a defect: the traceback names it.
        if missing in {"", "headgraft", *sys.stdlib_module_names}:
            raise
        sys.stderr.write(f"headgraft: {NEEDS_MORE}\n")
        return CODE_OF_MISSING_PACKAGES
    return run()


if __name__ == "__main__":
    sys.exit(main())
