"""The report of an injection, `report.json`: what was done, what to expect, and the proof.

A field without a value in a report was not asked for, or has no meaning for the kind of head.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from headgraft.workers.jobs.summary import FeatureCounts, HeadShape

Kind = Literal["rows", "semantic", "attribute"]
Level = Literal["good", "usable", "poor", "at_chance"]
Action = Literal[
    "train_the_head",
    "check_the_class_information",
    "describe_the_classes",
    "use_a_picture_text_encoder",
    "send_pictures",
    "prefer_old",
]


class ReportPart(BaseModel):
    """A part of the report: read from its JSON, or from an object with the same attributes."""

    model_config = ConfigDict(
        from_attributes=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        # Kept as it is, for the writer to refuse it: null would say that nothing was measured.
        ser_json_inf_nan="constants",
    )


class Figure(ReportPart):
    """An expected accuracy in [0, 1], and the interval it lies in with 90 %."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the interval excludes anything."""
        return self.low > 0 or self.high < 1


class Estimate(ReportPart):
    """What to expect of the extended head; `reasons` limit the belief.

    `pictures` counts the features it was read off, and `ground` says of what kind they are: with
    labels, without, generic ones, or none ("rows": from the head and the class embeddings alone).
    """

    T1: Figure
    u: Figure
    s: Figure
    H: Figure
    reasons: list[str]
    pictures: int = 0
    ground: Literal["rows", "generic", "unlabelled", "labelled"] = "rows"


class AppliedCalibration(ReportPart):
    """How the new rows were placed: `scale` mean distances of old rows from their mean row.

    Each row at this distance, or (not `equal_distance`) all on average. `bias_shift` is added to
    the bias of every new row, in logits. Rows of classes at chance stand at `chance_scale`, if that
    is not null.
    """

    scale: float
    equal_distance: bool
    bias_shift: float
    chance_scale: float | None = None


class TriedMethod(ReportPart):
    """One line of the table of candidates; `skipped` says why there is no estimate."""

    method: str
    settings: dict[str, JsonValue]
    estimate: Estimate | None
    seconds: float
    fits: int
    skipped: str | None


class TradeOffPoint(ReportPart):
    """Expected accuracy on old (`s`) and new (`u`) classes at one scale, and their mean `H`."""

    scale: float
    u: float
    s: float
    H: float
    chosen: bool = False


class ExpectedClass(ReportPart):
    """One new class; `confidence` is the chance that a picture of it is recognised.

    `nearest` are the old classes of the nearest meaning, each with its cosine. `at_chance`: nothing
    related to it is known.
    """

    name: str
    confidence: float
    nearest: list[tuple[str, float]]
    warning: str | None
    advice: str | None
    at_chance: bool = False


class OldClassLoss(ReportPart):
    """An old class expected to lose the share `loss` of its pictures, most of them to `to`."""

    name: str
    loss: float
    to: str


class NextStep(ReportPart):
    """What helps most, and what it is expected to gain; null where that is not known."""

    action: Action
    text: str
    gain: str | None

    @property
    def sentences(self) -> str:
        """The text, with the gain where it is known."""
        return f"{self.text} Expected gain: {self.gain}." if self.gain else self.text


class VerdictPart(ReportPart):
    """The head in one word, the one reason for it, and the one step that helps most, if any."""

    level: Level
    reason: str
    next_step: NextStep | None

    @property
    def word(self) -> str:
        """The level as it stands in a sentence."""
        return self.level.replace("_", " ")


class RowMap(ReportPart):
    """Rows in the plane along which the old ones differ most."""

    seen: list[tuple[float, float]]
    unseen: list[tuple[float, float]]


class Asked(ReportPart):
    """What the request asked for."""

    method: str
    settings: dict[str, JsonValue]


class SemanticPart(ReportPart):
    """What a head that compares class embeddings was made with."""

    temperature: float
    unseen_offset: float


class AttributePart(ReportPart):
    """What a head that reads attributes was made with; `hold_out` are accuracies held out."""

    alpha: float
    margin: float
    hold_out: dict[str, float]
    feature_size: int
    grid: list[int]


class SeenRows(ReportPart):
    """SHA-256 of the old rows' bytes by tensor, in the file that came and the one that is left."""

    sha256_before: dict[str, str]
    sha256_after: dict[str, str]
    bit_identical: bool


class RowNorms(ReportPart):
    """Norms of the rows, without bias: of the old ones in all, of the new ones each."""

    seen_mean: float
    seen_min: float
    seen_max: float
    unseen: dict[str, float]


class NearRow(ReportPart):
    """An old class whose row points the way of a new one's, as a cosine."""

    class_name: str = Field(alias="class")
    cosine: float


class AttributeAttention(ReportPart):
    """How much an attribute spoke for the answer, and how much it attended to every region."""

    name: str
    score: float
    weights: list[list[float]]


class PictureAttention(ReportPart):
    """A picture by number, its class, the head's answer, and what most spoke for it."""

    picture: int
    class_name: str = Field(alias="class")
    answer: str
    attributes: list[AttributeAttention]


class Converted(ReportPart):
    """What became of a file in another format; `dropped` names what was no tensor."""

    source_format: str = Field(alias="from")
    state_dict: str | None
    dropped: list[str]
    dropped_count: int


class NetworkPictures(ReportPart):
    """How many generic pictures were run through the network named; `skipped` says why none."""

    timm: str
    pictures: int
    skipped: str | None = None


class SolvedPart(ReportPart):
    """How the head came about; what stands behind `settings` is known where rows were calibrated.

    `settings` are all settings of the method, `raw_norms` the norms of its rows as it made them.
    `old_classes_at_risk` are the ten that are expected to lose most.
    """

    verdict: VerdictPart | None = None
    method: str
    settings: dict[str, JsonValue]
    calibration: AppliedCalibration | None = None
    estimate: Estimate | None = None
    tried: list[TriedMethod] = []
    curve: list[TradeOffPoint] = []
    outlook: dict[str, ExpectedClass] = {}
    old_classes_at_risk: list[OldClassLoss] = []
    raw_norms: list[float] = []
    map: RowMap | None = None


class WrittenPart(ReportPart):
    """What was asked, of which head, and what the files hold that were written.

    `features` counts what was sent of them, used or not. `nearest_seen_classes` are by new class;
    `class_sized_tensors` have one row a class, too, and were not grown. `reasons` say why a head
    that is no rows has no estimate, and why no picture was run through the network; `warnings` what
    the user should look at before trusting it.
    """

    schema_version: Literal[1] = Field(alias="schema")
    asked: Asked
    seen_count: int
    unseen_count: int
    head: HeadShape
    features: FeatureCounts | None = None
    kind: Kind
    reasons: list[str] = []
    semantic: SemanticPart | None = None
    attribute: AttributePart | None = None
    seen_rows: SeenRows | None = None
    class_sized_tensors: list[str] = []
    norms: RowNorms | None = None
    nearest_seen_classes: dict[str, list[NearRow]]
    attention: list[PictureAttention] = []
    warnings: list[str] = []


# The last base's fields come first.
class Report(WrittenPart, SolvedPart):
    """What a finished injection did, what to expect of its head, and the proof of the old rows."""

    converted: Converted | None
    network: NetworkPictures | None = None
    seconds: dict[str, float]
