// Why a pack is not valid, and what is to be known of one that is. The codes are stable, and the
// same as those of verify.py.

export const REASONS = {
  pack_unreadable: "The file is not a zip archive that can be a pack.",
  file_missing: "A file that the pack must have, or that its manifest names, is missing.",
  file_unexpected: "A file is in the pack that has no place there.",
  file_altered: "A file is not the one that the manifest names: its SHA-256 differs.",
  file_malformed: "A file does not have the form that the format asks for.",
  manifest_forged:
    "The manifest is not signed by a key of this log that counts: somebody else made or " +
    "changed it.",
  key_untrusted: "The key that you know does not stand behind this pack.",
  key_contradicted: "keys.json tells something else of the keys than the log itself.",
  key_endorsement: "A key follows another one that did not sign for it.",
  key_unknown: "A checkpoint is signed by no key of this log.",
  key_retired: "A checkpoint is signed only by a key that had been replaced by then.",
  key_revoked: "A checkpoint is signed only by a key that is revoked for its size.",
  checkpoint_forged:
    "A checkpoint does not match its signature: its text or its signature was changed.",
  checkpoint_foreign: "A checkpoint is of another log.",
  checkpoint_disordered: "A checkpoint is older or smaller than the one before it.",
  consistency_broken:
    "The proof that a checkpoint continues the one before it is missing or wrong.",
  fork: "Two signed checkpoints contradict each other: the log was forked.",
  pack_outdated: "The log was larger than this when you last saw it: the pack is an old one.",
  record_malformed: "A record does not have the form of the schema.",
  record_foreign: "A record is of another tenant.",
  record_missing: "A record is missing.",
  record_inserted: "A record stands where the log has none.",
  record_reordered: "A record does not stand in its place.",
  record_replayed: "What happened once is in the log twice.",
  record_hidden: "A record of the range is withheld, though all are said to be shown.",
  record_postdated: "A record tells of something later than the checkpoint that sealed it.",
  records_altered:
    "Records do not give the root that a checkpoint signs: at least one was changed, " +
    "removed or put in after it was sealed.",
  records_truncated: "The log ends before its newest checkpoint.",
  range_incomplete:
    "The range does not span the period: what happened in it may be sealed outside.",
  coverage_gap: "Nothing accounts for a rule and control for a while between two intervals.",
  coverage_overlap: "Two intervals of a rule and control count the same time twice.",
  coverage_impossible: "An interval counts more verdicts than judgements, or ends too early.",
  commitment_mismatch: "A payload is not the one that the record commits to.",
  payload_missing: "A record commits to a payload that is neither here nor said to be absent.",
  payload_unexpected: "A payload belongs to no record that is shown.",
  rule_missing: "The text of a rule that judged is missing.",
  rule_altered: "The text of a rule is not the one that judged.",
  population_mismatch: "The counts of the population are not those of the records.",
  coverage_mismatch: "The sums of coverage are not those of the records.",
  stamp_malformed: "A time stamp is not an answer of RFC 3161.",
  stamp_foreign: "A time stamp is of something else than its checkpoint.",
  stamp_forged:
    "A time stamp was changed after it was signed, or was not signed by the " +
    "authority that you trust.",
};

export const WARNINGS = {
  keys_unpinned:
    "No key of yours was given: that these are the keys of the log rests on the pack " +
    "itself. Give --key with the verifier key that you got on another way.",
  withheld:
    "Records of the range are withheld: that none of them belongs to the population rests " +
    "on the word of who exported it.",
  coverage_edge: "A rule and control is not accounted for up to a border of the period.",
  checkpoint_unreached:
    "The checkpoint that you know lies among withheld records and cannot be compared. Ask " +
    "for a pack that has it.",
  stamps_unverified:
    "Time stamps are over the right checkpoints; who made them was not checked. Give --tsa " +
    "with the authority's certificate.",
};
