"""Conditions under which a script creates something: an owner's quota, a request's reservation."""

from dataclasses import dataclass

from headgraft.workers.ledger.scripts import Key


class QuotaError(Exception):
    """An owner would have too much; `policy` names the limit, `jobs` or `stored-bytes`.

    `used` is what the owner has, `coming` what was to be added.
    """

    def __init__(self, policy: str, limit: int | None, used: int, coming: int) -> None:
        super().__init__(f"more than {limit} {policy}: {used}, and {coming} to come")
        self.policy = policy
        self.limit = limit
        self.used = used
        self.coming = coming


@dataclass(frozen=True)
class Quota:
    """The most an owner may have: jobs queued or running, bytes in the store; None: any."""

    jobs_max: int | None = None
    bytes_max: int | None = None

    def check(self, answer: str, coming_bytes: int = 0) -> None:
        """Return unless a script's answer names a limit that was met; then QuotaError."""
        policy, _, used = answer.partition(" ")
        if policy == "jobs":
            raise QuotaError(policy, self.jobs_max, self.jobs_max or 0, 1)
        if policy == "stored-bytes":
            raise QuotaError(policy, self.bytes_max, int(used), coming_bytes)


UNLIMITED = Quota()


@dataclass(frozen=True)
class Reservation:
    """A request's hold on an Idempotency-Key; the script that creates something settles it."""

    nonce: str = ""
    fingerprint: str = ""
    entry: Key | None = None


UNRESERVED = Reservation()
