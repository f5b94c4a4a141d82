"""Under which conditions the ledger makes something: an owner's room, a request's key.

It knows no keys of Redis: the scripts hold to what is said here.
"""

from dataclasses import dataclass


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

    jobs: int | None = None
    stored_bytes: int | None = None

    @property
    def said(self) -> tuple[str | int, str | int]:
        """The limits as the scripts take them."""
        jobs, stored_bytes = ("" if one is None else one for one in (self.jobs, self.stored_bytes))
        return jobs, stored_bytes

    def check(self, answer: str, coming_bytes: int = 0) -> None:
        """Return unless a script's answer names a limit that was met; then QuotaError."""
        policy, _, used = answer.partition(" ")
        if policy == "jobs":
            raise QuotaError(policy, self.jobs, self.jobs or 0, 1)
        if policy == "stored-bytes":
            raise QuotaError(policy, self.stored_bytes, int(used), coming_bytes)


UNLIMITED = Quota()


@dataclass(frozen=True)
class Reservation:
    """A request's hold on an Idempotency-Key; the script that makes something settles it."""

    entry: str = ""
    nonce: str = ""
    fingerprint: str = ""

    @property
    def keys(self) -> list[str]:
        """The entry as a script's last key: none where there is none, for Redis checks each."""
        return [self.entry] if self.entry else []


UNRESERVED = Reservation()
