"""The settings of the rule tier: rules on the event alone."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.section import Section

RuleField = Literal["amount_minor", "country", "merchant_category", "currency", "channel"]


class ConditionSettings(Section):
    """What one field must be: numbers by `at_least` and `below`, words by `one_of` and `none_of`.

    A condition with several parts asks for all of them; one without any is refused.
    """

    field: RuleField
    at_least: int | None = None
    below: int | None = None
    one_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _asks_for_what_its_field_has(self) -> Self:
        of_numbers, of_words = {"at_least", "below"}, {"one_of", "none_of"}
        asked = {name for name in of_numbers | of_words if getattr(self, name) is not None}
        if not asked:
            raise ValueError("give at_least, below, one_of or none_of")
        if wrong := asked - (of_numbers if self.field == "amount_minor" else of_words):
            raise ValueError(f"{self.field} cannot be asked for {', '.join(sorted(wrong))}")
        return self


class RuleSettings(Section):
    """Decide so `when` all of its conditions hold; `with_model`: also beside a model."""

    code: str
    decision: Literal["review", "decline"]
    when: Annotated[tuple[ConditionSettings, ...], Field(min_length=1)]
    with_model: bool = False


class FallbackSettings(Section):
    """Rules on the event alone, for when no model or store is usable; some also beside a model."""

    version: str
    rules: tuple[RuleSettings, ...]
