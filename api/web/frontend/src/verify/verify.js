// Verifies a pack of evidence in the browser, offline: the second verifier, written apart from
// verify.py and giving the same reasons. Needs WebCrypto with Ed25519 and DecompressionStream.
import { base64 } from "./bytes.js";
import { parseKey } from "./notes.js";
import { Pack } from "./pack.js";
import { REASONS, WARNINGS } from "./reasons.js";
import { Verification } from "./verification.js";
import { Unreadable } from "./zip.js";

export { REASONS, WARNINGS };

/** Places that are told of one reason; more are counted. */
const MAX_TOLD = 20;

/**
 * Verify a pack.
 *
 * @param {Blob} blob
 * @param {{keys?: string[], checkpoint?: Uint8Array}} [asked] verifier keys that are known, and the
 *   note of the last checkpoint that was seen. Throws Malformed for a key that is none.
 * @returns the result, shaped as that of verify.py; rejects with NotSupportedError where the browser
 *   has no Ed25519
 */
export async function verify(blob, asked = {}) {
  for (const key of asked.keys ?? []) parseKey(key);
  const findings = new Findings();
  let verification = null;
  try {
    const pack = await Pack.open(blob, findings.tell);
    verification = new Verification(pack, asked, findings.tell);
    await verification.run();
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    findings.tell("pack_unreadable", error.message);
  }
  return result(findings, verification);
}

class Findings {
  #rows = new Map();

  tell = (code, place) => {
    const row = this.#rows.get(code) ?? { times: 0, where: [] };
    row.times += 1;
    if (row.where.length < MAX_TOLD) row.where.push(place);
    this.#rows.set(code, row);
  };

  rows(sentences) {
    return [...this.#rows]
      .filter(([code]) => code in sentences)
      .map(([code, { times, where }]) => ({ code, times, what: sentences[code], where }));
  }
}

function result(findings, of) {
  const failures = findings.rows(REASONS);
  const told = {
    format: "betrace.verification/1",
    valid: failures.length === 0,
    failures,
    warnings: findings.rows(WARNINGS),
  };
  return of?.head ? { ...told, ...facts(of) } : told;
}

function facts({ head, usable, keys, tally }) {
  const newest = usable.at(-1);
  return {
    tenant: head.tenant,
    origin: head.origin,
    query: head.query,
    range: { first: head.first, end: head.end },
    checkpoints: usable.length,
    newest: newest ? { size: newest.size, root: base64(newest.root) } : null,
    sealed_ms: newest ? newest.timeMs : null,
    stamps: 0,
    keys: keys.map((key) => key.row.verifier_key),
    population: tally.population(),
    coverage: tally.coverage(),
  };
}
