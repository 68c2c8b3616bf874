// The counts of the population, and the sums of coverage by rule and control.
import { COUNTS } from "./json.js";

export class Tally {
  kinds = {};
  controls = {};
  verdicts = {};
  others = 0;
  withheld = 0;
  /** By rule and control: {rule, control, from_ms, to_ms, begins, ends, intervals, …}. */
  rows = new Map();
  #query;

  constructor(query) {
    this.#query = query;
  }

  /** Whether a record is in the population. */
  asksFor(record) {
    const { from_ms, to_ms, kinds, frameworks, controls } = this.#query;
    if (record.time_ms < from_ms || record.time_ms >= to_ms) return false;
    if (kinds.length && !kinds.includes(record.kind)) return false;
    if (!frameworks.length && !controls.length) return true;
    return record.controls.some(
      (control) => controls.includes(control) || frameworks.includes(control.split(".")[0]),
    );
  }

  count(record) {
    add(this.kinds, record.kind);
    for (const control of record.controls) add(this.controls, control);
    if (record.kind === "verdict") add(this.verdicts, record.body.verdict);
  }

  population() {
    return {
      by_control: this.controls,
      by_kind: this.kinds,
      by_verdict: this.verdicts,
      others: this.others,
      records: Object.values(this.kinds).reduce((sum, count) => sum + count, 0),
      withheld: this.withheld,
    };
  }

  coverage() {
    const names = ["rule", "control", "from_ms", "to_ms", "intervals", ...COUNTS];
    return [...this.rows.values()]
      .sort((left, right) => compare(left.rule, right.rule) || compare(left.control, right.control))
      .map((row) => Object.fromEntries(names.map((name) => [name, row[name]])));
  }

  /** Add an interval; returns the code of what is wrong with its place, or "". */
  cover(control, body) {
    const key = JSON.stringify([body.rule.id, control]);
    const row = this.rows.get(key);
    if (!row) this.rows.set(key, freshRow(control, body));
    const wrong = row ? gapOf(row, body) : "";
    extend(this.rows.get(key), body);
    return wrong;
  }
}

function freshRow(control, { rule, from_ms, to_ms, begins, ends }) {
  const zeros = Object.fromEntries(["intervals", ...COUNTS].map((name) => [name, 0]));
  return { rule: rule.id, control, from_ms, to_ms, begins, ends, ...zeros };
}

function gapOf(row, body) {
  if (body.from_ms < row.to_ms) return "coverage_overlap";
  return body.from_ms === row.to_ms || (row.ends && body.begins) ? "" : "coverage_gap";
}

function extend(row, body) {
  row.to_ms = Math.max(row.to_ms, body.to_ms);
  row.from_ms = Math.min(row.from_ms, body.from_ms);
  row.ends = body.ends;
  row.intervals += 1;
  for (const name of COUNTS) row[name] += body[name];
}

function add(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** By code points, as Python sorts; `<` would go by UTF-16 units. */
function compare(left, right) {
  const [one, other] = [left, right].map((text) => [...text].map((char) => char.codePointAt(0)));
  for (let at = 0; at < Math.min(one.length, other.length); at++) {
    if (one[at] !== other[at]) return one[at] - other[at];
  }
  return one.length - other.length;
}
