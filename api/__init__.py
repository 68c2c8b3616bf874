"""The services: ingest, worker, REST API, web UI and the `betrace` command."""
