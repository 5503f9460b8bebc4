"""The synthetic world and the import of real tables: onto Kafka as our messages."""
