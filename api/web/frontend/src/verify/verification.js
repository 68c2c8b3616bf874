// One pack being verified, in the order of verify.py: manifest, keys, checkpoints, proofs, records,
// counts, time stamps.
import { hex, same, unbase64, utf8 } from "./bytes.js";
import {
  CONSISTENCY,
  FORMAT,
  HEAD,
  Malformed,
  RULE_TEXT,
  SUPPRESSION,
  canonical,
  fits,
  isKeys,
  isObject,
  parse,
} from "./json.js";
import { ed25519Holds, parseCheckpoint, parseKey, parseNote, signedBy, standing } from "./notes.js";
import { sha256 } from "./sha256.js";
import { isWhole, stamped } from "./stamps.js";
import { Tally } from "./tally.js";
import { consistencyHolds } from "./tree.js";
import { CLOCK_SKEW_MS, Walk } from "./walk.js";

const KNOWN = "the checkpoint that you know";

export class Verification {
  head = null;
  keys = [];
  listed = [];
  usable = [];
  /** Whether a checkpoint is not usable; what would follow from that is not told again. */
  refused = false;
  known = null;
  rules = new Map();
  tally = null;
  #asked;
  #unproven = [];

  /** asked: {keys, checkpoint}, verifier keys as text and the bytes of a note; tell(code, place). */
  constructor(pack, asked, tell) {
    this.pack = pack;
    this.tell = tell;
    this.#asked = asked;
  }

  async run() {
    const manifest = await this.pack.readManifest();
    this.head = await this.#value("pack.json", (value) => fits(value, HEAD));
    if (!this.head) return;
    if (!this.head.origin.endsWith(`/${this.head.tenant}`)) {
      this.tell("file_malformed", "pack.json: the origin is not of the tenant");
    }
    this.tally = new Tally(this.head.query);
    await this.#readKeys();
    await this.#readCheckpoints();
    await this.#checkManifest(manifest);
    await this.#readConsistency();
    this.#checkRange();
    await this.#readRules();
    const walk = new Walk(this);
    await walk.run();
    this.#checkKeys(walk);
    this.#checkRoots(walk);
    await this.#checkCounts(walk);
    await this.#checkStamps();
    for await (const _ of this.values("suppressions.jsonl", SUPPRESSION));
    await this.pack.read("README.txt");
  }

  // files

  async #value(name, check) {
    if (!this.pack.has(name)) return null;
    const raw = await this.pack.read(name);
    const value = this.#attempt(() => parse(raw), "file_malformed", name);
    if (value === null) return null;
    if (check(value)) return value;
    this.tell("file_malformed", `${name}: other keys or values than the format has`);
    return null;
  }

  /** Yield the values of a file of lines that have the right shape, telling of the others. */
  async *values(name, shape) {
    let number = 0;
    for await (const line of this.pack.lines(name)) {
      number += 1;
      const place = `${name}, line ${number}`;
      const value = this.#attempt(() => parse(line), "file_malformed", place);
      if (value === null) continue;
      if (fits(value, shape)) yield value;
      else this.tell("file_malformed", `${place}: other keys or values`);
    }
  }

  /** What an action returns; null if it throws Malformed, which is told. */
  #attempt(action, code, place) {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.tell(code, `${place}: ${error.message}`);
      return null;
    }
  }

  // keys

  async #readKeys() {
    for (const row of (await this.#value("keys.json", isKeys)) ?? []) {
      const key = this.#attempt(() => parseKey(row.verifier_key), "file_malformed", "keys.json");
      if (!key) continue;
      if (key.name !== this.head.origin) {
        this.tell("file_malformed", "keys.json: a key has another name than the origin");
      }
      this.keys.push({ ...key, row, trusted: false });
    }
    await this.#trust();
  }

  /** Mark the keys that those which are known stand behind. */
  async #trust() {
    const pinned = this.#asked.keys ?? [];
    const named = this.keys.map((key) => key.row.verifier_key);
    if (!pinned.length) this.tell("keys_unpinned", named.join(", "));
    for (const [number, key] of this.keys.entries()) {
      const before = this.keys[number - 1];
      const endorsed = before !== undefined && (await this.#endorses(before, key));
      const own = !pinned.length || pinned.includes(key.row.verifier_key);
      key.trusted = own || (endorsed && before.trusted);
    }
    for (const text of pinned) {
      if (!named.includes(text)) this.tell("key_untrusted", `${text} is no key of this log`);
    }
  }

  async #endorses(before, { name, row }) {
    if (!row.endorsement && before.row.revoked_since !== null) return false;
    const text = `betrace.key/1\n${name}\n${row.introduced}\n${row.verifier_key}\n`;
    const signature = unbase64(row.endorsement) ?? new Uint8Array();
    if (await ed25519Holds(before.raw, signature, utf8(text))) return true;
    this.tell("key_endorsement", row.verifier_key);
    return false;
  }

  #checkKeys({ whole, disagreed, keyRows }) {
    if (!whole || disagreed.size) return;
    const rows = [];
    for (const { seq, event, verifier_key, endorsement, since_size } of keyRows) {
      if (event === "revoked") {
        const revoked = rows.filter((row) => row.verifier_key === verifier_key);
        for (const row of revoked) row.revoked_since = since_size;
        continue;
      }
      for (const row of rows) row.retired ??= seq;
      const fresh = { introduced: seq, retired: null, revoked_since: null };
      rows.push({ endorsement, verifier_key, ...fresh });
    }
    if (canonical(rows) !== canonical(this.keys.map((key) => key.row))) {
      this.tell("key_contradicted", `the log has ${rows.length} keys`);
    }
  }

  // checkpoints

  async #readCheckpoints() {
    for (const name of this.pack.numbered("checkpoints/")) {
      const checkpoint = this.#checkpoint(await this.pack.read(name), name);
      if (checkpoint) this.listed.push(checkpoint);
      if (checkpoint && (await this.#counts(checkpoint))) this.usable.push(checkpoint);
      else this.refused = true;
    }
    for (const [older, newer] of pairs(this.usable)) {
      if (newer.size < older.size || newer.timeMs < older.timeMs) {
        this.tell("checkpoint_disordered", newer.place);
      }
    }
    if (!this.listed.length && !this.refused) this.tell("file_missing", "checkpoints/000001.note");
    const newest = this.usable.at(-1);
    if (newest && !(await this.#isTrusted(newest.note, newest.size))) {
      this.tell("key_untrusted", `${newest.place} is signed by no key you know`);
    }
    if (!this.#asked.checkpoint) return;
    const known = this.#checkpoint(this.#asked.checkpoint, KNOWN);
    if (known && (await this.#counts(known))) this.known = known;
  }

  #checkpoint(raw, place) {
    const checkpoint = this.#attempt(() => parseCheckpoint(raw, place), "file_malformed", place);
    if (!checkpoint || checkpoint.origin === this.head.origin) return checkpoint;
    this.tell("checkpoint_foreign", `${place}: ${checkpoint.origin}`);
    return null;
  }

  async #counts({ note, size, place }) {
    const signers = await signedBy(note, this.keys);
    if (!signers) {
      this.tell("checkpoint_forged", place);
      return false;
    }
    const reasons = signers.map((key) => standing(key, size));
    if (reasons.includes("")) return true;
    this.tell(reasons[0] ?? "key_unknown", place);
    return false;
  }

  async #isTrusted(note, size) {
    const signers = (await signedBy(note, this.keys)) ?? [];
    return signers.some((key) => key.trusted && !standing(key, size));
  }

  async #checkManifest(manifest) {
    const { origin, created_ms } = this.head;
    const expected = [FORMAT, origin, hex(sha256(manifest)), `time_ms ${created_ms}`, ""];
    const raw = await this.pack.read("manifest.note");
    const note = this.#attempt(() => parseNote(raw), "manifest_forged", "manifest.note");
    if (!note) return;
    if (note.text !== expected.join("\n")) {
      this.tell("manifest_forged", "manifest.note is of another manifest");
    } else if (!(await this.#isTrusted(note, this.usable.at(-1)?.size ?? 0))) {
      this.tell("manifest_forged", "manifest.note has no signature that counts");
    }
  }

  async #readConsistency() {
    const proofs = new Map();
    for await (const { from, to, hashes } of this.values("consistency.jsonl", CONSISTENCY)) {
      proofs.set(`${from} ${to}`, hashes.map(unbase64));
    }
    for (const [older, newer] of pairs(this.usable)) {
      if (older.size > newer.size || (this.refused && !areNeighbours(older, newer))) continue;
      if (!continues(older, newer, proofs)) this.#unproven.push([older, newer]);
    }
  }

  #checkRange() {
    if (this.refused) return;
    const { first, end, query } = this.head;
    const opening = this.usable.filter((one) => one.size >= first);
    if (first && !opening.some((one) => one.timeMs + CLOCK_SKEW_MS < query.from_ms)) {
      this.tell("range_incomplete", `records before ${first} may be of the period`);
    }
    const closing = this.usable.filter((one) => one.size <= end);
    if (!closing.some((one) => one.timeMs >= query.to_ms)) {
      this.tell("range_incomplete", `record ${end} may have been sealed before it was over`);
    }
  }

  async #readRules() {
    for await (const { id, version, text } of this.values("rules.jsonl", RULE_TEXT)) {
      const key = JSON.stringify([id, version]);
      if (this.rules.has(key)) {
        this.tell("file_malformed", `rules.jsonl: ${id}, version ${version}, twice`);
      }
      this.rules.set(key, hex(sha256(utf8(text))));
    }
  }

  // after the walk

  #checkRoots({ agreed, disagreed }) {
    // A head that records do not lead to contradicts a later one that they do lead to. Without such
    // a one nothing tells a fork from records that were altered, and their proofs with them.
    const newest = Math.max(0, ...agreed);
    const explained = new Set();
    for (const [older, newer] of this.#unproven) {
      const sizes = [older.size, newer.size];
      if (older.size === newer.size || sizes.some((size) => size < newest && disagreed.has(size))) {
        this.tell("fork", `${older.place} and ${newer.place}`);
        for (const size of sizes) explained.add(size);
      } else if (sizes.every((size) => agreed.has(size))) {
        this.tell("consistency_broken", `${older.place} to ${newer.place}`);
      }
    }
    const first = [...disagreed].find(([size]) => !explained.has(size));
    if (first) this.tell("records_altered", first[1]);
  }

  async #checkCounts({ unread }) {
    const { tally, head } = this;
    const population = await this.#value("population.json", isObject);
    const coverage = await this.#value("coverage.json", Array.isArray);
    if (unread) return;
    if (population && canonical(population) !== canonical(tally.population())) {
      this.tell("population_mismatch", canonical(tally.population()));
    }
    if (coverage && canonical(coverage) !== canonical(tally.coverage())) {
      this.tell("coverage_mismatch", `${coverage.length} rows`);
    }
    if (tally.withheld) this.tell("withheld", `${tally.withheld} records`);
    for (const row of tally.rows.values()) {
      const late = row.from_ms > head.query.from_ms && !row.begins;
      const early = row.to_ms < head.query.to_ms && !row.ends;
      if (late || early) this.tell("coverage_edge", `${row.rule}, ${row.control}`);
    }
  }

  async #checkStamps() {
    const checkpoints = new Map(this.listed.map((one) => [one.place.slice(-11, -5), one]));
    for (const name of this.pack.numbered("stamps/")) {
      const raw = await this.pack.read(name);
      const stamp = this.#attempt(() => stamped(raw), "stamp_malformed", name);
      if (!stamp) continue;
      const whole = await isWhole(stamp);
      const checkpoint = checkpoints.get(name.slice(-10, -4));
      if (!checkpoint || !same(sha256(checkpoint.raw), stamp.imprint)) {
        this.tell("stamp_foreign", name);
      } else if (!whole) {
        this.tell("stamp_forged", `${name}: it was changed`);
      } else if (stamp.atMs + CLOCK_SKEW_MS < checkpoint.timeMs) {
        this.tell("stamp_foreign", `${name}: it is older than the checkpoint`);
      } else this.tell("stamps_unverified", name);
    }
  }
}

function pairs(list) {
  return list.slice(1).map((newer, index) => [list[index], newer]);
}

function areNeighbours(older, newer) {
  return Number(newer.place.slice(-11, -5)) === Number(older.place.slice(-11, -5)) + 1;
}

function continues(older, newer, proofs) {
  if (older.size === newer.size) return same(older.root, newer.root);
  const proof = proofs.get(`${older.size} ${newer.size}`);
  return older.size === 0 || (proof !== undefined && consistencyHolds(proof, older, newer));
}
