"""Airflow operators and hooks around the platform's rooms.

They are imported as `plugins.…`; Airflow itself executes only `fraud_plugin.py` (see
`.airflowignore`). The rooms, and everything heavy, are imported inside methods, so that parsing a
DAG stays quick.
"""
