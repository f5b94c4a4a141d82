"""Says which tests pytest-xdist must run in one process, and which may run anywhere.

A fixture of a module or of the session is set up once in each process that needs it. Tests that
share a costly one therefore stay together; a long test with processes of its own goes alone.
"""

from xdist.scheduler import LoadScopeScheduling

# Every test of these files starts what it needs.
ALONE = (
    "tests/faults/test_api_faults.py",
    "tests/faults/test_header_fuzz.py",
    "tests/faults/test_storm.py",
    "tests/faults/test_uploads.py",
    "tests/faults/test_warm_workers.py",
    "tests/faults/test_worker_faults.py",
    "tests/service/webhooks/test_deliverer.py",
    "tests/service/local/test_up.py",
)
# The tests of a group share a costly fixture beyond their file.
TOGETHER = {
    # The package as the images install it.
    "tests/deployment/": "deployment",
    # A product that runs: Redis, API and worker.
    "tests/service/test_api_page.py": "product",
    "tests/service/cli/test_main.py": "product",
    "tests/service/cli/test_features.py": "product",
    "tests/service/cli/test_network.py": "product",
    "tests/service/cli/test_results.py": "product",
    "tests/service/client/test_networks.py": "product",
    "tests/service/client/test_pictures.py": "product",
    "tests/service/injections/test_download_formats.py": "product",
    "tests/service/injections/test_report_in_a_browser.py": "product",
    "tests/service/uploads/test_regions.py": "product",
}


def group(test: str) -> str:
    """Return what a test, named as pytest names it, has in common with those it stays with."""
    file = test.partition("::")[0]
    if file in ALONE:
        return test
    return next((name for start, name in TOGETHER.items() if file.startswith(start)), file)


class ByCost(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Hands out one group after another, in the order of pyproject.toml's testpaths."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
