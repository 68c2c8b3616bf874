"""The evidence log at work: what is to be sealed, who seals it, and what is told of it.

    verdicts, coverage, acts ─► offering ─► evidence_inbox ─► sequencer ─► evidence_records, nodes
                                                                  └─► checkpointing ─► checkpoints
    service, packing ◄── reading ◄── all of these

The pure parts are `udfs.evidence`. The sequencer and the feeders run in the worker, what answers
people in the API.
"""
