"""Thin DAG files."""
