// `node --test tests` in api/web/frontend. pytest writes packs and what is to be said of them into
// the folder EVIDENCE_CASES, and reads what was said of them from told.json; without it only what
// needs none is tried.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { hex } from "../src/verify/bytes.js";
import { Malformed, parse } from "../src/verify/json.js";
import { Sha256, sha256 } from "../src/verify/sha256.js";
import { REASONS, WARNINGS, verify } from "../src/verify/verify.js";

const folder = process.env.EVIDENCE_CASES;
const cases = folder ? JSON.parse(readFileSync(path.join(folder, "cases.json"), "utf8")) : [];
const codes = (rows) => rows.map((row) => row.code).sort();
const said = {};

for (const { name, file, keys, checkpoint, failures, warnings } of cases) {
  test(name, async () => {
    const blob = new Blob([readFileSync(path.join(folder, file))]);
    const seen = checkpoint ? Buffer.from(checkpoint, "base64") : undefined;
    const result = await verify(blob, { keys, checkpoint: seen });
    const told = { failures: codes(result.failures), warnings: codes(result.warnings) };
    said[name] = told;
    assert.deepEqual(told, { failures, warnings }, JSON.stringify(result.failures));
    assert.equal(result.valid, failures.length === 0);
  });
}

if (folder) {
  after(() => writeFileSync(path.join(folder, "told.json"), JSON.stringify(said)));

  test("has the reasons of verify.py, in the same words", () => {
    const ours = { reasons: REASONS, warnings: WARNINGS };
    const theirs = JSON.parse(readFileSync(path.join(folder, "reasons.json"), "utf8"));
    assert.deepEqual(ours, theirs);
  });
}

test("SHA-256 agrees with WebCrypto at every length around its blocks, fed in any parts", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(300));
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    const expected = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
    const cut = length >> 1;
    const fed = new Sha256().update(part.subarray(0, cut)).update(part.subarray(cut));
    assert.equal(hex(sha256(part)), hex(expected), `${length} bytes`);
    assert.equal(hex(fed.digest()), hex(expected), `${length} bytes in two parts`);
  }
});

test("reads JSON in its canonical form only", () => {
  const bytes = (text) => new TextEncoder().encode(text);
  assert.deepEqual(parse(bytes('{"a":["\\u0001é😀",-1,true,null]}')), { a: ["\u0001é😀", -1, true, null] });
  const others = [
    '{"b":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a": 1}',
    '{"a":1.5}',
    '{"a":1e3}',
    '{"a":9007199254740993}',
    '{"a":-0}',
    '{"a":"\\u00e9"}',
    '{"a":"\\ud800"}',
    '{"__proto__":1}x',
    "[".repeat(100_000),
    "",
  ];
  for (const text of others) assert.throws(() => parse(bytes(text)), Malformed, text.slice(0, 40));
});
