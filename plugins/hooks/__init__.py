"""Clients of the servers that DAGs steer."""
