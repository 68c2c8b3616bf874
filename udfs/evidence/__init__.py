"""Evidence that a stranger can check: records, the log they are sealed in, and packs of them.

Pure: times, keys, salts and stored hashes are arguments. From the inside out:

- `canonical`, `records`, `record_codec`: what a record is, and its bytes
- `compliance`, `in_spans`: customers' own compliance spans, read and found
- `commitments`: what is personal stands apart, behind a salted hash
- `tree`, `proofs`, `proof_checks`: the Merkle log of RFC 6962
- `keys`, `key_history`, `notes`, `checkpoints`: who signs the log, and what is signed
- `pack`, `pack_range`, `pack_writer`, `tally`: what an auditor gets
- `verify`: what an auditor runs; it stands alone and imports nothing of this project
"""
