"""The settings of the rule tier: rules on the event alone."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.section import Section

Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
RuleField = Literal["amount_minor", "country", "merchant_category", "currency", "channel"]


class ConditionSettings(Section):
    """What one field must be: numbers by `at_least` and `below`, words by `one_of` and `none_of`.

    A condition with several parts asks for all of them; one without any is refused.
    """

    field: RuleField
    at_least: int | None = None
    below: int | None = None
    one_of: Words | None = None
    none_of: Words | None = None

    @model_validator(mode="after")
    def _asks_for_what_its_field_has(self) -> Self:
        of_numbers, of_words = {"at_least", "below"}, {"one_of", "none_of"}
        asked = {name for name in of_numbers | of_words if getattr(self, name) is not None}
        if not asked:
            raise ValueError("give at_least, below, one_of or none_of")
        if wrong := asked - (of_numbers if self.field == "amount_minor" else of_words):
            raise ValueError(f"{self.field} cannot be asked for {', '.join(sorted(wrong))}")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"nothing is at least {self.at_least} and below {self.below}")
        return self


class RuleSettings(Section):
    """Decide so `when` all of its conditions hold; `with_model`: also beside a model."""

    code: Annotated[str, Field(min_length=1)]
    decision: Literal["review", "decline"]
    when: Annotated[tuple[ConditionSettings, ...], Field(min_length=1)]
    with_model: bool = False


class FallbackSettings(Section):
    """Rules on the event alone, for when no model or store is usable; some also beside a model."""

    version: Annotated[str, Field(min_length=1)]
    rules: tuple[RuleSettings, ...]

    @model_validator(mode="after")
    def _has_a_code_for_each_rule(self) -> Self:
        codes = [rule.code for rule in self.rules]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"each rule needs a code of its own, not {', '.join(twice)}")
        return self
