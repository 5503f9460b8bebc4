"""The mapping file of `fraud import`: which column of a table means what. See docs/import.md."""

import difflib
import zoneinfo
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contracts.errors import DataError

Name = Annotated[str, Field(min_length=1)]
OPTIONAL_TEXTS = ("merchant_category", "currency", "country", "channel", "device_id", "ip_prefix")


class Part(BaseModel):
    """A frozen part of a mapping; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(Part):
    """The table's column for each field of a transaction; a field without one stays null.

    Without `transaction_id` the row's number becomes the id.
    """

    transaction_id: Name | None = None
    event_time: Name
    card_id: Name
    merchant_id: Name
    amount: Name
    merchant_category: Name | None = None
    currency: Name | None = None
    utc_offset_minutes: Name | None = None
    country: Name | None = None
    latitude: Name | None = None
    longitude: Name | None = None
    channel: Name | None = None
    device_id: Name | None = None
    ip_prefix: Name | None = None

    def named(self) -> dict[str, str]:
        """Field to column, of those that have one."""
        return {field: column for field, column in self if column is not None}


class Constants(Part):
    """One value for every row, of fields that the table has no column for."""

    merchant_category: str | None = None
    currency: str | None = None
    utc_offset_minutes: int | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    channel: str | None = None
    device_id: str | None = None
    ip_prefix: str | None = None

    def given(self) -> dict[str, str | int | float]:
        """Field to value, of those that have one."""
        return {field: value for field, value in self if value is not None}


class AmountSpec(Part):
    """The unit of the amount column: major (12.34) or minor (1234) units of the billing currency.

    A negative amount is an error, unless the table means a refund by it.
    """

    unit: Literal["major", "minor"]
    decimals: Annotated[int, Field(ge=0, le=4)] = 2
    negative: Literal["reject", "refund"] = "reject"


class TimeSpec(Part):
    """How times are written: dates with times, or numbers counted from `origin`.

    `zone` holds for times without an offset of their own. In the hour that comes twice a year the
    first is meant. `format` is strptime's; without it ISO 8601 is expected.
    """

    unit: Literal["datetime", "seconds", "milliseconds", "microseconds"] = "datetime"
    zone: str = "UTC"
    format: str | None = None
    origin: datetime | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        names = zoneinfo.available_timezones()
        if zone not in names:
            close = ", ".join(difflib.get_close_matches(zone, names, n=3))
            hint = f"did you mean {close}?" if close else "use an IANA name such as Europe/Paris"
            raise ValueError(f"unknown time zone {zone!r}; {hint}")
        return zone


class DelayDistribution(Part):
    """Log-normal delays by their median and 95th percentile, fixed by the transaction's id."""

    median_days: Annotated[float, Field(gt=0)]
    p95_days: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95_days < self.median_days:
            raise ValueError("p95_days is less than median_days")
        return self


class LabelSpec(Part):
    """Which rows turned out to be frauds, and when that was known.

    `publish: frauds` sends a label for frauds alone, as a card network would; `all` also sends one
    for every legitimate row. A row without a value has no label.
    """

    column: Name
    fraud_values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1)]
    time_column: Name | None = None
    delay_days: Annotated[float, Field(ge=0)] | None = None
    delay_distribution: DelayDistribution | None = None
    publish: Literal["frauds", "all"] = "frauds"

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        ways = (self.time_column, self.delay_days, self.delay_distribution)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of time_column, delay_days or delay_distribution")
        return self


class CsvSpec(Part):
    """How a CSV file is written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf8"


class TableMapping(Part):
    """A whole mapping file."""

    columns: Columns
    amount: AmountSpec
    constants: Constants = Constants()
    values: dict[str, dict[str, str]] = {}
    time: TimeSpec = TimeSpec()
    label: LabelSpec | None = None
    csv: CsvSpec = CsvSpec()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = self.columns.named().keys() & self.constants.given().keys()
        if both:
            raise ValueError(f"{', '.join(sorted(both))}: a column and a constant")
        foreign = self.values.keys() - set(OPTIONAL_TEXTS)
        if foreign:
            raise ValueError(f"values can translate {', '.join(OPTIONAL_TEXTS)}; not {foreign}")
        return self

    def required_columns(self) -> list[str]:
        """Every column that the mapping names, once, in order."""
        names = list(self.columns.named().values())
        if self.label is not None:
            names += [name for name in (self.label.column, self.label.time_column) if name]
        return list(dict.fromkeys(names))


def load_mapping(path: Path) -> TableMapping:
    """Read and check a mapping file.

    Raises:
        DataError: the file is missing, is not YAML, or a key or value is wrong.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            "mapping file is missing", value=str(path), remedy="See config/mappings for examples"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not valid YAML: {error}") from error
    try:
        return TableMapping.model_validate(tree)
    except ValidationError as error:
        raise DataError(
            f"{path.name} is not a mapping: " + "; ".join(_problems(error)),
            remedy="See docs/import.md",
        ) from error


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"]) or "mapping"
        yield f"{path}: {problem['msg']}{_alternative(path, problem['type'])}"


def _alternative(path: str, kind: str) -> str:
    parent, _, key = path.rpartition(".")
    model: Any = TableMapping
    for part in filter(None, parent.split(".")):
        model = _PARTS.get(part, model)
    close = difflib.get_close_matches(key, list(model.model_fields), n=1)
    return f" (did you mean {close[0]}?)" if kind == "extra_forbidden" and close else ""


_PARTS: dict[str, type[Part]] = {
    "columns": Columns,
    "constants": Constants,
    "amount": AmountSpec,
    "time": TimeSpec,
    "label": LabelSpec,
    "csv": CsvSpec,
}
