"""Wire formats: what travels through Kafka and what lies in Flink state."""
