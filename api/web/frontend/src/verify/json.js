// Canonical JSON (RFC 8785) for values whose numbers are whole, and what shape values must have.
import { same, text, utf8 } from "./bytes.js";

export const FORMAT = "betrace.pack/1";
export const SCHEMA = "betrace.compliance/1";

/** A value is not what the format asks for; the message says how. */
export class Malformed extends Error {}

/** Read bytes that must be canonical JSON; throws Malformed. @param {Uint8Array} raw */
export function parse(raw) {
  let value;
  let written;
  try {
    const read = text(raw);
    // A half of a surrogate pair is only ever written as an escape, and is no Unicode.
    if (/(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/.test(read)) throw new Malformed("it is not Unicode");
    value = JSON.parse(read);
    written = canonical(value);
  } catch (error) {
    if (error instanceof Malformed) throw error;
    throw new Malformed(`it is not JSON: ${error.message}`);
  }
  if (!same(utf8(written), raw)) throw new Malformed("it is not canonical JSON");
  return value;
}

/** The canonical text of a value. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new Malformed("a number is not whole, or over 2^53 - 1");
    }
    return JSON.stringify(value);
  }
  const fields = Object.keys(value).sort();
  return `{${fields.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isCountOrNull = (value) => value === null || isCount(value);
const isText = (value) => typeof value === "string";
const isTruth = (value) => typeof value === "boolean";
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const form = (pattern) => {
  const whole = new RegExp(`^(?:${pattern})$`);
  return (value) => isText(value) && whole.test(value) && !value.includes("\n");
};
const oneOf = (...words) => (value) => words.includes(value);
const all = (names, check) => Object.fromEntries(names.map((name) => [name, check]));
const listOf = (shape) => (value) => Array.isArray(value) && value.every((one) => fits(one, shape));
export const isObject = (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value);
const isHex64 = form("[0-9a-f]{64}");
const isHash = form("[A-Za-z0-9+/]{43}=");

/** Whether a value is an object with exactly the keys of a shape, each of its form. */
export function fits(value, shape) {
  if (!isObject(value)) return false;
  const names = Object.keys(shape);
  if (Object.keys(value).length !== names.length) return false;
  return names.every((name) => Object.hasOwn(value, name) && shape[name](value[name]));
}

export const COUNTS = ["judged", "satisfied", "violated", "inconclusive", "late", "dropped"];
const RULE = { id: isText, version: isCount, sha256: isHex64 };
const isRule = (value) => fits(value, RULE);
const isOutcome = oneOf("success", "failure", "blocked", "unknown");

export const BODIES = {
  span: {
    ...all(["evidence_type", "operation", "service"], isText),
    outcome: isOutcome,
    trace_id: form("[0-9a-f]{32}"),
    span_id: form("[0-9a-f]{16}"),
  },
  verdict: {
    rule: isRule,
    verdict: oneOf("violated", "satisfied", "not_applicable", "inconclusive"),
    signal: form("[0-9a-f]{32}"),
    revision: isCount,
    trace_id: form("([0-9a-f]{32})?"),
    incomplete: isTruth,
    reasons: isTexts,
  },
  coverage: {
    rule: isRule,
    ...all(["from_ms", "to_ms", ...COUNTS], isCount),
    ...all(["begins", "ends"], isTruth),
  },
  act: { ...all(["action", "actor", "target"], isText), outcome: isOutcome },
  key: {
    event: oneOf("created", "rotated", "revoked"),
    ...all(["verifier_key", "endorsement", "reason"], isText),
    since_size: isCount,
  },
};

export const RECORD = {
  body: isObject,
  commitment: form("([0-9a-f]{64})?"),
  controls: (value) => Array.isArray(value) && value.every(form("[!-~]{1,100}")),
  id: isText,
  kind: (value) => isText(value) && Object.hasOwn(BODIES, value),
  policy: isCount,
  schema: oneOf(SCHEMA),
  seq: isCount,
  tenant: isText,
  time_ms: isCount,
};

export const WITHHELD = { count: isCount, first: isCount, hash: isHash };
const KEY = {
  ...all(["endorsement", "verifier_key"], isText),
  introduced: isCount,
  ...all(["retired", "revoked_since"], isCountOrNull),
};
export const isKeys = listOf(KEY);
const QUERY = {
  ...all(["from_ms", "to_ms"], isCount),
  ...all(["frameworks", "controls", "kinds"], isTexts),
};
export const HEAD = {
  ...all(["first", "end", "created_ms"], isCount),
  ...all(["tenant", "origin", "generator"], isText),
  disclosure: oneOf("all", "selected"),
  format: oneOf(FORMAT),
  query: (value) => fits(value, QUERY),
};
export const CONSISTENCY = {
  from: isCount,
  hashes: (value) => Array.isArray(value) && value.every(isHash),
  to: isCount,
};
export const PAYLOAD = { payload: isText, salt: isHash, seq: isCount };
export const ABSENT = {
  seq: isCount,
  why: oneOf("erased", "redacted"),
  at_ms: isCount,
  by: isCountOrNull,
};
export const RULE_TEXT = {
  ...all(["id", "text"], isText),
  version: isCount,
  controls: isTexts,
  approvals: listOf({ by: isText, at_ms: isCount }),
};
export const SUPPRESSION = {
  ...all(["rule", "where", "reason", "owner"], isText),
  ...all(["until_ms", "signals"], isCount),
};
export const MANIFEST_ROW = { bytes: isCount, sha256: isHex64 };
