"""The messages that cross a wire, as JSON in UTF-8. `contracts.schemas` makes their JSON Schemas.

Times are integer microseconds since the Unix epoch, UTC. Money is integer minor units of the
platform's billing currency (ISO 8583 field 6).
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Literal[1] = 1
MIN_TIME_US = 946_684_800_000_000  # 2000-01-01
MAX_TIME_US = 4_102_444_800_000_000  # 2100-01-01
MAX_AMOUNT_MINOR = 1_000_000_000_000

Identifier = Annotated[str, Field(min_length=1, max_length=64)]
TimeUs = Annotated[int, Field(ge=MIN_TIME_US, lt=MAX_TIME_US, strict=True)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Channel(StrEnum):
    """How the card was presented."""

    CHIP = "chip"
    CONTACTLESS = "contactless"
    ONLINE = "online"
    ATM = "atm"


class DecisionKind(StrEnum):
    """What the platform tells the authorisation system to do."""

    APPROVE = "approve"
    REVIEW = "review"
    DECLINE = "decline"


class Tier(StrEnum):
    """Who decided: the champion model, or the rules that stand in for it."""

    MODEL = "model"
    FALLBACK = "fallback"


class OutcomeKind(StrEnum):
    """What happened to a transaction after its decision."""

    AUTHORISED = "authorised"
    DECLINED = "declined"
    STEP_UP_PASSED = "step_up_passed"
    STEP_UP_FAILED = "step_up_failed"
    REVERSED = "reversed"


class LabelSource(StrEnum):
    """Where the knowledge about a fraud came from."""

    CHARGEBACK = "chargeback"
    INVESTIGATION = "investigation"
    CUSTOMER_REPORT = "customer_report"
    CORRECTION = "correction"
    IMPORT = "import"


class Message(BaseModel):
    """A frozen fact; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: Literal[1] = SCHEMA_VERSION


class Transaction(Message):
    """A card transaction asking for a decision. Topic `transactions`, key `card_id`.

    A negative amount is a refund. Fields that a source lacks are null, never invented.
    """

    transaction_id: Identifier
    event_time: TimeUs
    card_id: Identifier
    merchant_id: Identifier
    amount_minor: Annotated[int, Field(ge=-MAX_AMOUNT_MINOR, le=MAX_AMOUNT_MINOR, strict=True)]
    merchant_category: Annotated[str, Field(pattern=r"^[0-9]{4}$")] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    utc_offset_minutes: Annotated[int, Field(ge=-840, le=840, strict=True)] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    channel: Channel | None = None
    device_id: Identifier | None = None
    ip_prefix: Identifier | None = None


class Outcome(Message):
    """What followed a decision. Topic `transaction_outcomes`, key `card_id`."""

    transaction_id: Identifier
    card_id: Identifier
    event_time: TimeUs
    outcome: OutcomeKind
    outcome_time: TimeUs


class Label(Message):
    """Delayed knowledge about a transaction. Topic `transaction_labels`, key `transaction_id`.

    The newest by (`label_time`, offset) counts; a correction may turn fraud into no fraud.
    """

    transaction_id: Identifier
    card_id: Identifier
    merchant_id: Identifier
    event_time: TimeUs
    is_fraud: Annotated[bool, Field(strict=True)]
    label_time: TimeUs
    source: LabelSource


class SourceRef(BaseModel):
    """The identity of a decision: the coordinates of the record that it answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    partition: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]


ReasonMethod = Literal["path", "tree_shap", "rule"]


class Reason(BaseModel):
    """Why a score is what it is: a code, its share of the log-odds, and the value behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    code: str
    contribution: float
    feature: str
    value: float | None
    method: ReasonMethod


class Decision(Message):
    """The answer to one transaction record. Topic `fraud_scores`, key `card_id`.

    `features` is the served vector in definition order, null where missing; `propensity` is the
    probability with which this transaction could go ahead (1 unless a decline was sampled).
    """

    transaction_id: Identifier
    card_id: Identifier
    event_time: TimeUs
    amount_minor: int
    score: Probability | None
    decision: DecisionKind
    reasons: tuple[Reason, ...]
    expected_loss_minor: int
    model_version: str
    feature_set: str
    policy_version: str
    tier: Tier
    is_late: bool
    is_duplicate: bool
    control: bool
    propensity: Probability
    source: SourceRef
    features: tuple[float | None, ...]


class ShadowScore(Message):
    """What a challenger would have decided. Topic `fraud_shadow_scores`, key `card_id`.

    `champion_version` names the model whose decision counted. Not every transaction has one.
    """

    transaction_id: Identifier
    card_id: Identifier
    event_time: TimeUs
    score: Probability
    decision: DecisionKind
    model_version: str
    champion_version: str
    feature_set: str
    source: SourceRef


class Rejected(Message):
    """A record that could not be read. Topic `transactions_dlq`; `raw` is base64 of its bytes."""

    source: SourceRef
    error_code: str
    error_message: str
    raw: str


class Truth(Message):
    """A fraud of the synthetic world, as its author knows it. Topic `transaction_truth`.

    Key `transaction_id`. A transaction without such a record is legitimate. Reports alone may read
    this topic; training, policy and gate see labels only.
    """

    transaction_id: Identifier
    card_id: Identifier
    event_time: TimeUs
    campaign: Identifier


MESSAGES: tuple[type[Message], ...] = (
    Transaction,
    Outcome,
    Label,
    Decision,
    ShadowScore,
    Rejected,
    Truth,
)
