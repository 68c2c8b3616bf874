// The log from left to right: every line is a leaf or a withheld subtree.
import { hex, same, unbase64, utf8 } from "./bytes.js";
import { ABSENT, BODIES, PAYLOAD, RECORD, WITHHELD, fits, isObject, parse } from "./json.js";
import { MAX_RECORD_BYTES } from "./pack.js";
import { sha256 } from "./sha256.js";
import { Tree, isPowerOfTwo, leafHash } from "./tree.js";

/** By how much a producer's clock may be ahead of the sealer's. */
export const CLOCK_SKEW_MS = 5 * 60 * 1000;
const MAX_GAP = 10_000;

export class Walk {
  tree = new Tree();
  /** Whether every line so far stood in its place; roots mean nothing without. */
  whole = true;
  /** Whether a record could not be read; counts mean nothing then. */
  unread = false;
  agreed = new Set();
  /** By size of a checkpoint: which records gave another root than it signs. */
  disagreed = new Map();
  keyRows = [];
  #of;
  #tell;
  #due;
  #sealing = 0;
  #ids = new Set();
  #missing = new Set();
  #payloads;
  #absent;

  /** of: the Verification, with head, usable checkpoints, rules and tally read. */
  constructor(of) {
    this.#of = of;
    this.#tell = of.tell;
    this.#due = [...of.usable].sort((left, right) => left.size - right.size);
  }

  async run() {
    this.#payloads = await BySeq.of(this.#of.values("payloads.jsonl", PAYLOAD), this.#tell);
    this.#absent = await BySeq.of(this.#of.values("absent.jsonl", ABSENT), this.#tell);
    this.#reach();
    let number = 0;
    for await (const line of this.#of.pack.lines("log.jsonl", MAX_RECORD_BYTES)) {
      number += 1;
      await this.#line(line, `log.jsonl, line ${number}`);
    }
    await this.#finish();
  }

  async #line(line, place) {
    let value;
    try {
      value = parse(line);
    } catch (error) {
      this.#malformed(`${place}: ${error.message}`);
      return;
    }
    if (isObject(value) && Object.hasOwn(value, "hash")) this.#withheld(value, place);
    else if (fits(value, RECORD) && fits(value.body, BODIES[value.kind])) {
      await this.#record(value, line);
    } else this.#malformed(`${place}: other keys or values than the schema`);
  }

  #malformed(place) {
    this.#tell("record_malformed", place);
    this.whole = false;
    this.unread = true;
    this.tree.size += 1;
  }

  #withheld(value, place) {
    if (!fits(value, WITHHELD)) {
      this.#malformed(`${place}: other keys or values`);
      return;
    }
    const { count, first } = value;
    const { end, first: begin, disclosure } = this.#of.head;
    if (first !== this.tree.size || !isPowerOfTwo(count) || first % count) {
      this.#tell("record_missing", `${place}: ${first} follows ${this.tree.size - 1}`);
      this.whole = false;
    }
    const hidden = Math.max(0, Math.min(first + count, end) - Math.max(first, begin));
    this.#of.tally.withheld += hidden;
    if (hidden && disclosure === "all") {
      this.#tell("record_hidden", `records ${first} to ${first + count - 1}`);
    }
    if (this.whole) this.tree.add(unbase64(value.hash), count);
    else this.tree.size = first + count;
    this.#reach();
  }

  async #record(record, line) {
    if (record.seq !== this.tree.size) this.#displaced(record.seq);
    else if (this.whole) this.tree.add(leafHash(line));
    else this.tree.size += 1;
    await this.#check(record);
    this.#reach();
  }

  /** A record is not where its number says; roots mean nothing from here. */
  #displaced(seq) {
    this.whole = false;
    const at = this.tree.size;
    if (seq > at) {
      for (let one = at; one < Math.min(seq, at + MAX_GAP); one++) this.#missing.add(one);
      this.tree.size = seq + 1;
    } else if (this.#missing.delete(seq)) this.#tell("record_reordered", `record ${seq}`);
    else this.#tell("record_inserted", `record ${seq} stands twice`);
  }

  /** Compare the root with that of the checkpoints that are reached now. */
  #reach() {
    const { size } = this.tree;
    while (this.#sealing < this.#due.length && this.#due[this.#sealing].size <= size) {
      const before = this.#sealing ? this.#due[this.#sealing - 1].size : 0;
      const checkpoint = this.#due[this.#sealing++];
      if (!this.whole) continue;
      if (checkpoint.size === size && same(this.tree.root(), checkpoint.root)) {
        this.agreed.add(size);
      } else if (!this.disagreed.has(checkpoint.size)) {
        const place = `records ${before} to ${checkpoint.size - 1}, ${checkpoint.place}`;
        this.disagreed.set(checkpoint.size, place);
      }
    }
    const { known } = this.#of;
    if (!known || !this.whole || known.size !== size) return;
    if (!same(this.tree.root(), known.root)) {
      this.#tell("fork", `${known.place}, of ${known.size} records`);
    }
    this.#of.known = null;
  }

  async #check(record) {
    const { seq, kind, body } = record;
    if (record.tenant !== this.#of.head.tenant) {
      this.#tell("record_foreign", `record ${seq}: ${record.tenant.slice(0, 60)}`);
    }
    const identity = `${kind} ${record.id}`;
    if (this.#ids.has(identity)) {
      this.#tell("record_replayed", `record ${seq}: ${identity.slice(0, 120)}`);
    }
    this.#ids.add(identity);
    const sealed = this.#due[this.#sealing];
    const overMs = kind === "coverage" ? body.to_ms : record.time_ms;
    if (sealed && overMs > sealed.timeMs + CLOCK_SKEW_MS) {
      this.#tell("record_postdated", `record ${seq}, ${sealed.place}`);
    }
    await this.#checkPayload(seq, record.commitment);
    if (kind === "key") this.keyRows.push({ seq, ...body });
    this.#count(record);
  }

  #count(record) {
    const { tally, head } = this.#of;
    const { seq, kind, body, controls } = record;
    if (!tally.asksFor(record)) {
      tally.others += 1;
      if (head.disclosure === "selected" && kind !== "key") {
        this.#tell("population_mismatch", `record ${seq} was not asked for`);
      }
      return;
    }
    tally.count(record);
    if (body.rule) this.#checkRule(seq, body.rule);
    if (kind !== "coverage") return;
    const place = `record ${seq}: ${body.rule.id}, ${controls.join(" ")}`;
    if (controls.length !== 1 || isImpossible(body)) this.#tell("coverage_impossible", place);
    const wrong = controls.length ? tally.cover(controls[0], body) : "";
    if (wrong) this.#tell(wrong, place);
  }

  #checkRule(seq, rule) {
    const known = this.#of.rules.get(JSON.stringify([rule.id, rule.version]));
    if (known === rule.sha256) return;
    const code = known === undefined ? "rule_missing" : "rule_altered";
    this.#tell(code, `record ${seq}: ${rule.id}, version ${rule.version}`);
  }

  async #checkPayload(seq, commitment) {
    const payload = await this.#payloads.take(seq);
    const absent = await this.#absent.take(seq);
    if (!commitment) {
      if (payload || absent) this.#tell("payload_unexpected", `record ${seq}`);
    } else if (payload) {
      const salted = sha256(unbase64(payload.salt), utf8(payload.payload));
      if (hex(salted) !== commitment) this.#tell("commitment_mismatch", `record ${seq}`);
    } else if (!absent) this.#tell("payload_missing", `record ${seq}`);
  }

  async #finish() {
    for (const seq of [...this.#missing].sort((left, right) => left - right)) {
      this.#tell("record_missing", `record ${seq}`);
    }
    const { size } = this.tree;
    const sealed = this.#due.at(-1)?.size ?? size;
    if (size < sealed) {
      this.#tell("records_truncated", `record ${size} of ${sealed} is the first missing`);
    } else if (size > sealed && !this.#of.refused) {
      this.#tell("record_inserted", `records from ${sealed} on are sealed by no checkpoint`);
    }
    await this.#payloads.finish();
    await this.#absent.finish();
    const { known } = this.#of;
    if (known && known.size > sealed) {
      this.#tell("pack_outdated", `${known.place} has ${known.size} records, the pack ${sealed}`);
    } else if (known && this.whole) this.#tell("checkpoint_unreached", `${known.size} records`);
  }
}

function isImpossible({ judged, satisfied, violated, inconclusive, from_ms, to_ms }) {
  return satisfied + violated + inconclusive > judged || to_ms <= from_ms;
}

/** Values of a file that are sorted by seq, taken while the log goes by. */
class BySeq {
  #values;
  #tell;
  #next;

  static async of(values, tell) {
    const made = new BySeq(values, tell);
    await made.#advance();
    return made;
  }

  constructor(values, tell) {
    this.#values = values;
    this.#tell = tell;
  }

  /** The value of a record, undefined if there is none. */
  async take(seq) {
    while (this.#next && this.#next.seq < seq) await this.#pass();
    if (this.#next?.seq !== seq) return undefined;
    const taken = this.#next;
    await this.#advance();
    return taken;
  }

  /** Tell of what no record has taken. */
  async finish() {
    while (this.#next) await this.#pass();
  }

  async #pass() {
    this.#tell("payload_unexpected", `record ${this.#next.seq}`);
    await this.#advance();
  }

  async #advance() {
    this.#next = (await this.#values.next()).value;
  }
}
