"""Token buckets: who may ask for how much, in the API and at `ingest`, in one process or many."""
