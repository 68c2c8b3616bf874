"""What BeTrace needs of Kafka outside Flink: topics, their settings, and a producer."""
