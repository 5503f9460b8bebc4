"""The events that start DAGs."""

from airflow.sdk import Asset

MATURED_LABELS = Asset(name="matured_labels", uri="fraud://labels/matured")
"""Enough labels have matured since the champion's training to learn from them."""
