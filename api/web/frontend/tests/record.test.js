// A record's proof, followed in JavaScript: every place of every small tree, and what was touched.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { verifyRecord } from "../src/verify/record.js";

const ORIGIN = "betrace.example/log/0d3c6b4e";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const RAW = publicKey.export({ type: "spki", format: "der" }).subarray(-32);

const sha256 = (...parts) =>
  parts.reduce((made, part) => made.update(part), createHash("sha256")).digest();
const leafHash = (line) => sha256(Buffer.of(0), line);
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right);

function keyId(raw) {
  return sha256(Buffer.from(`${ORIGIN}\n`), Buffer.of(1), raw).subarray(0, 4);
}

function verifierKey(raw) {
  const packed = Buffer.concat([Buffer.of(1), raw]).toString("base64");
  return `${ORIGIN}+${keyId(raw).toString("hex")}+${packed}`;
}

/** The largest power of two below a number over 1. */
function split(count) {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}

/** RFC 6962, 2.1, as it is written there. */
function rootOf(leaves) {
  if (leaves.length === 1) return leaves[0];
  const cut = split(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, cut)), rootOf(leaves.slice(cut)));
}

/** RFC 6962, 2.1.1. */
function path(index, leaves) {
  if (leaves.length === 1) return [];
  const cut = split(leaves.length);
  const [left, right] = [leaves.slice(0, cut), leaves.slice(cut)];
  return index < cut
    ? [...path(index, left), rootOf(right)]
    : [...path(index - cut, right), rootOf(left)];
}

const linesOf = (size) =>
  Array.from({ length: size }, (_, seq) => Buffer.from(`{"kind":"span","seq":${seq}}`));

function checkpoint(size, root) {
  const text = `${ORIGIN}\n${size}\n${root.toString("base64")}\ntime_ms 1795000000000\n`;
  const signature = Buffer.concat([keyId(RAW), sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${ORIGIN} ${signature.toString("base64")}\n`;
}

function material(index, size, changes = {}) {
  const leaves = linesOf(size).map(leafHash);
  return {
    seq: index,
    line: linesOf(size)[index].toString("base64"),
    proof: path(index, leaves).map((one) => one.toString("base64")),
    checkpoint: checkpoint(size, rootOf(leaves)),
    keys: [{ verifier_key: verifierKey(RAW), retired: null, revoked_since: null }],
    ...changes,
  };
}

const failing = ({ steps }) => steps.filter((one) => !one.holds).map((one) => one.what);

test("every record of every small log is valid", async () => {
  for (let size = 1; size <= 17; size += 1) {
    for (let index = 0; index < size; index += 1) {
      const found = await verifyRecord(material(index, size), { known: verifierKey(RAW) });
      assert.deepEqual([found.valid, failing(found)], [true, []], `${index} of ${size}`);
    }
  }
});

test("what was touched fails where it was touched", async () => {
  const [whole, size, index] = [material(5, 11), 11, 5];
  const other = Buffer.from(`{"kind":"act","seq":5}`).toString("base64");
  const cases = [
    [{ line: other }, "4 hashes lead"],
    [{ seq: 6 }, "Its bytes are hashed"],
    [{ proof: whole.proof.slice(1) }, "3 hashes lead"],
    [{ proof: [...whole.proof, whole.proof[0]] }, "5 hashes lead"],
    [{ checkpoint: whole.checkpoint.replace("17950", "17951") }, "A key of the log signed"],
    [{ checkpoint: "" }, "can be read"],
    [{ line: "?" }, "can be read"],
    [{ keys: [] }, "A key of the log signed"],
    [{ keys: [{ ...whole.keys[0], revoked_since: 10 }] }, "A key of the log signed"],
    [{ keys: [{ ...whole.keys[0], retired: 10 }] }, "A key of the log signed"],
  ];
  for (const [changes, told] of cases) {
    const found = await verifyRecord(material(index, size, changes));
    assert.equal(found.valid, false, told);
    assert.ok(
      failing(found).some((what) => what.includes(told)),
      `${told}: ${failing(found)}`,
    );
  }
});

test("a record that is newer than the checkpoint is unsigned, and not what was touched", async () => {
  const newest = material(5, 11).checkpoint;
  const waiting = await verifyRecord({ ...material(11, 12), proof: [], checkpoint: newest });
  assert.deepEqual([waiting.valid, waiting.covered], [false, false]);
  assert.deepEqual(failing(waiting), ["A checkpoint covers it"]);
  assert.equal((await verifyRecord(material(5, 11, { checkpoint: "" }))).covered, false);
  assert.equal((await verifyRecord(material(5, 11, { proof: [] }))).covered, true);
});

test("a key that is known must be one of the log's", async () => {
  const stranger = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" });
  const known = verifierKey(stranger.subarray(-32));
  const found = await verifyRecord(material(2, 4), { known });
  assert.deepEqual(failing(found), ["The key that you know is one of the log's"]);
  const retired = material(2, 4);
  retired.keys.unshift({ verifier_key: known, retired: 1, revoked_since: null });
  assert.equal((await verifyRecord(retired, { known })).valid, true);
});
