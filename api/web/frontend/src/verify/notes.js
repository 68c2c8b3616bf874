// Signed notes (C2SP signed-note), checkpoints (tlog-checkpoint) and the keys that sign them.
import { hex, same, text, unbase64, utf8 } from "./bytes.js";
import { Malformed } from "./json.js";
import { sha256 } from "./sha256.js";

const MAX_NOTE_BYTES = 64 * 1024;
const VERIFIER_KEY = /^([^\s+\x00-\x1f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/;
const SIGNATURE = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/;
const CHECKPOINT =
  /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\ntime_ms (0|[1-9][0-9]{0,15})\n$/;

/** {name, id, raw} of a verifier key; throws Malformed. */
export function parseKey(written) {
  const found = VERIFIER_KEY.exec(written);
  const packed = found && unbase64(found[3]);
  if (!packed || packed.length !== 33 || packed[0] !== 1) {
    throw new Malformed("a verifier key reads name+8 hex digits+base64 of 33 bytes");
  }
  const id = sha256(utf8(`${found[1]}\n`), packed).subarray(0, 4);
  if (hex(id) !== found[2]) throw new Malformed("the id of the verifier key is wrong");
  return { name: found[1], id, raw: packed.slice(1) };
}

/** Whether an Ed25519 signature is right. */
export async function ed25519Holds(raw, signature, message) {
  if (signature.length !== 64) return false;
  try {
    const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, message);
  } catch (error) {
    // Bytes that are no point of the curve are no key; anything else is this browser's lack.
    if (error.name === "NotSupportedError") throw error;
    return false;
  }
}

/** {text, signatures} of a note, nothing of it verified; throws Malformed. */
export function parseNote(raw) {
  if (raw.length > MAX_NOTE_BYTES) throw new Malformed("the note is too large");
  let whole;
  try {
    whole = text(raw);
  } catch {
    throw new Malformed("the note is not UTF-8");
  }
  const cut = whole.lastIndexOf("\n\n");
  if (cut < 0 || !whole.endsWith("\n") || cut + 2 >= whole.length || hasControls(whole)) {
    throw new Malformed("a note is a text, an empty line and signatures");
  }
  const signatures = whole.slice(cut + 2, -1).split("\n").map(parseSignature);
  return { text: whole.slice(0, cut + 1), signatures };
}

function hasControls(whole) {
  return /[\x00-\x09\x0b-\x1f]/.test(whole);
}

function parseSignature(line) {
  const found = SIGNATURE.exec(line);
  const packed = found && unbase64(found[2]);
  if (!packed || packed.length <= 4) throw new Malformed("a signature line reads: — name base64");
  return { name: found[1], id: packed.subarray(0, 4), signature: packed.slice(4) };
}

/** A tree head: {origin, size, root, timeMs, note, raw, place}; throws Malformed. */
export function parseCheckpoint(raw, place) {
  const note = parseNote(raw);
  const found = CHECKPOINT.exec(note.text);
  if (!found) throw new Malformed("a checkpoint is four lines: origin, size, root, time_ms");
  return {
    origin: found[1],
    size: Number(found[2]),
    root: unbase64(found[3]),
    timeMs: Number(found[4]),
    note,
    raw,
    place,
  };
}

/** The keys that signed a note; null if the signature of one of them is wrong. */
export async function signedBy(note, keys) {
  const signers = [];
  for (const { name, id, signature } of note.signatures) {
    for (const key of keys) {
      if (key.name !== name || !same(key.id, id)) continue;
      if (!(await ed25519Holds(key.raw, signature, utf8(note.text)))) return null;
      signers.push(key);
    }
  }
  return signers;
}

/** "" if a key counts for a checkpoint of a size, else the reason why it does not. */
export function standing({ row }, size) {
  if (row.revoked_since !== null && size > row.revoked_since) return "key_revoked";
  return row.retired !== null && size > row.retired ? "key_retired" : "";
}
