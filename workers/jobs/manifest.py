"""What a run left: the manifest beside its files, which the job's record holds too."""

from pydantic import BaseModel, JsonValue

from headgraft.workers.jobs.report import Estimate, VerdictPart
from headgraft.workers.jobs.summary import HeadShape

MANIFEST_FILE = "manifest.json"


class StoredFile(BaseModel):
    """Size and hash of a file."""

    bytes: int
    sha256: str


class EncoderUsed(BaseModel):
    """The text encoder that a run's class embeddings came from."""

    name: str
    digest: str


class ReportPage(BaseModel):
    """What the server of a report's page must know: the policy's source of its one style."""

    style_source: str


class Manifest(BaseModel):
    """A run's files under their prefix, and what the API shows of the run without opening them."""

    prefix: str
    files: dict[str, StoredFile]
    versions: dict[str, str]
    head: HeadShape
    method: str
    settings: dict[str, JsonValue]
    estimate: Estimate | None
    verdict: VerdictPart | None = None
    seconds: dict[str, float]
    page: ReportPage | None
    encoder: EncoderUsed | None
