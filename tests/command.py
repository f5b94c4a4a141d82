"""Runs a program of ours within this process: what it prints, and how it exits.

Starting Python for it costs a second and more. Tests whose subject is the process start one.
"""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

from headgraft.__main__ import main


def headgraft(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command `headgraft` in a folder, with these HEADGRAFT variables and no others."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
    with contextlib.chdir(folder):
        return run(main, ["headgraft", *arguments], {**clean, "COLUMNS": "200", **variables})


def run(
    main: Callable[[], int], command: list[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program's `main` with a command line and an environment."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", command),
        # A command that becomes another one would replace the tests: those are run as processes.
        mock.patch.object(os, "execve", side_effect=AssertionError("it becomes another program")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
