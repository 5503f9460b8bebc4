"""The local stack: jars, servers, supervision, health and initialisation."""
