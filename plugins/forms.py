"""The fields of the forms that Airflow shows when a person triggers a DAG.

A null value means 'as config/config.yaml says', so that defaults stand in one place only.
"""

from airflow.sdk import Param

DEFAULT_ARMS = ["xgboost", "xgboost_smote"]
ARMS = [
    "logistic_regression",
    "logistic_regression_smote",
    "random_forest",
    "xgboost",
    "xgboost_weight",
    "xgboost_smote",
    "xgboost_smotenc",
    "lightgbm",
    "lightgbm_smote",
    "neural_net",
]
"""What the form offers, as `models.arms.ALL_ARMS` has it; a test holds the two together."""


def arms_param() -> Param:
    """Which arms are compared: a model family with a treatment of the class imbalance."""
    return Param(
        DEFAULT_ARMS,
        type="array",
        items={"type": "string", "pattern": "^[a-z0-9_.]+$"},
        minItems=1,
        uniqueItems=True,
        examples=ARMS,
        title="Arms",
        description="Model families and imbalance treatments to compare on the same folds.",
    )


def days_param(title: str, description: str, minimum: int = 1) -> Param:
    """A number of days that overrides the configured one."""
    return whole_param(title, description, minimum, 730)


def whole_param(title: str, description: str, minimum: int, maximum: int) -> Param:
    """A whole number that overrides the configured one."""
    return Param(
        None,
        type=["null", "integer"],
        minimum=minimum,
        maximum=maximum,
        title=title,
        description=f"{description} Empty: as configured.",
    )


def text_param(title: str, description: str, *, is_required: bool = False) -> Param:
    """A line of text; null unless required."""
    if is_required:
        return Param(type="string", minLength=1, title=title, description=description)
    return Param(None, type=["null", "string"], title=title, description=description)


def choice_param(default: str, choices: dict[str, str], title: str, description: str) -> Param:
    """One of some words; `choices` maps each to how the form words it."""
    return Param(
        default,
        type="string",
        enum=list(choices),
        values_display=choices,
        title=title,
        description=description,
    )
