// Verifies one record in the browser: its bytes lead to the root that a key of the log signed.
import { base64, hex, same, text, unbase64, utf8 } from "./bytes.js";
import { Malformed } from "./json.js";
import { parseCheckpoint, parseKey, signedBy, standing } from "./notes.js";
import { leafHash, nodeHash } from "./tree.js";

/**
 * Verify a record.
 *
 * @param {{seq: number, line: string, proof: string[], checkpoint: string,
 *   keys: {verifier_key: string, retired: number|null, revoked_since: number|null}[]}} material
 *   line and proof in base64, the proof lowest hash first
 * @param {{known?: string}} [asked] a verifier key of the log that is known from elsewhere
 * @returns {Promise<{valid: boolean, covered: boolean,
 *   steps: {what: string, holds: boolean, detail: string}[]}>}
 *   what was looked at, in order; covered: a checkpoint was signed since the record was sealed;
 *   rejects with NotSupportedError where the browser has no Ed25519
 */
export async function verifyRecord(material, asked = {}) {
  const steps = [];
  const step = (what, holds, detail) => {
    steps.push({ what, holds, detail });
    return holds;
  };
  let covered = Boolean(material.checkpoint);
  const done = () => ({ valid: steps.every((one) => one.holds), covered, steps });
  let read;
  try {
    read = readMaterial(material);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    step("What the page has can be read", false, error.message);
    return done();
  }
  const { line, proof, checkpoint, keys } = read;
  const leaf = leafHash(line);
  const said = seqOf(line);
  step("Its bytes are hashed to a leaf", said === material.seq, `${hex(leaf)}, place ${said}`);
  covered = material.seq < checkpoint.size;
  if (!covered) {
    const detail = `The newest one is of ${checkpoint.size} records.`;
    step("A checkpoint covers it", false, detail);
    return done();
  }
  const root = rootOf(proof, { index: material.seq, size: checkpoint.size, leaf });
  step(
    `${proof.length} hashes lead to the root of ${checkpoint.size} records`,
    root !== null && same(root, checkpoint.root),
    root === null ? "The proof is of another tree." : base64(root),
  );
  await checkSignature(step, checkpoint, keys, asked.known ?? "");
  return done();
}

function readMaterial({ line, proof, checkpoint, keys }) {
  const bytes = unbase64(line);
  const hashes = proof.map(unbase64);
  if (!bytes || hashes.some((one) => !one || one.length !== 32)) {
    throw new Malformed("The bytes are not base64.");
  }
  if (!checkpoint) throw new Malformed("No checkpoint covers this record yet.");
  return {
    line: bytes,
    proof: hashes,
    checkpoint: parseCheckpoint(utf8(checkpoint), "checkpoint"),
    keys: keys.map((row) => ({ ...parseKey(row.verifier_key), row })),
  };
}

/** The place that the bytes themselves name, null if they name none. */
function seqOf(line) {
  try {
    return JSON.parse(text(line)).seq ?? null;
  } catch {
    return null;
  }
}

/** The root that a leaf and its proof lead to (RFC 9162, 2.1.3.2), null if the lengths disagree. */
function rootOf(proof, { index, size, leaf }) {
  let at = index;
  let last = size - 1;
  let hashed = leaf;
  for (const other of proof) {
    if (last === 0) return null;
    if (at % 2 || at === last) {
      hashed = nodeHash(other, hashed);
      while (at && at % 2 === 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      hashed = nodeHash(hashed, other);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 ? hashed : null;
}

async function checkSignature(step, checkpoint, keys, known) {
  const counting = keys.filter((key) => !standing(key, checkpoint.size));
  const signers = await signedBy(checkpoint.note, counting);
  if (!signers?.length) {
    const detail = signers ? "No key that counts has signed it." : "A signature is wrong.";
    step("A key of the log signed that root", false, detail);
    return;
  }
  const names = signers.map((key) => key.row.verifier_key);
  step("A key of the log signed that root", true, names.join(" "));
  if (known) {
    const among = keys.some((key) => key.row.verifier_key === known.trim());
    step("The key that you know is one of the log's", among, known.trim());
  }
}
