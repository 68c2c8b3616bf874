// The files of a pack: only those with a known name, each compared with the manifest.
import { hex } from "./bytes.js";
import { FORMAT, MANIFEST_ROW, fits, isObject, parse } from "./json.js";
import { Sha256 } from "./sha256.js";
import { Unreadable, readDirectory, unpack } from "./zip.js";

const MAX_FILE_BYTES = 64 * 2 ** 20;
const MAX_STREAM_BYTES = 64 * 2 ** 30;
const MAX_NUMBERED_BYTES = 2 ** 20;
/** Of all files, unpacked, to the archive, beyond MAX_FILE_BYTES. */
const MAX_RATIO = 200;
export const MAX_LINE_BYTES = 2 ** 20;
export const MAX_RECORD_BYTES = 16 * 1024;

const FILES = ["README.txt", "pack.json", "keys.json", "population.json", "coverage.json"];
const STREAMS = [
  ...["log.jsonl", "consistency.jsonl", "payloads.jsonl", "absent.jsonl"],
  ...["rules.jsonl", "suppressions.jsonl"],
];
const NUMBERED = /^(checkpoints\/[0-9]{6}\.note|stamps\/[0-9]{6}\.tsr)$/;
const OWN = ["manifest.json", "manifest.note"];
const NEWLINE = 10;

export class Pack {
  #blob;
  #entries;
  #tell;
  #manifest = {};

  /** Open an archive; throws Unreadable. tell(code, place) is called for what is wrong. */
  static async open(blob, tell) {
    return new Pack(blob, await readDirectory(blob), tell);
  }

  constructor(blob, entries, tell) {
    this.#blob = blob;
    this.#entries = entries;
    this.#tell = tell;
    let unpacked = 0;
    for (const entry of entries.values()) {
      checkEntry(entry);
      unpacked += entry.size;
    }
    if (unpacked > MAX_FILE_BYTES + MAX_RATIO * blob.size) {
      throw new Unreadable(`it unpacks to ${unpacked} bytes, over ${MAX_RATIO} times its size`);
    }
  }

  has(name) {
    return this.#entries.has(name);
  }

  /** Read the manifest and compare the names; returns its bytes. */
  async readManifest() {
    const raw = await this.#raw("manifest.json");
    let value;
    try {
      value = parse(raw);
    } catch (error) {
      throw new Unreadable(`manifest.json: ${error.message}`);
    }
    const rows = { files: isObject, format: (format) => format === FORMAT };
    if (!fits(value, rows) || !Object.values(value.files).every((row) => fits(row, MANIFEST_ROW))) {
      throw new Unreadable(`manifest.json: the format is not ${FORMAT}`);
    }
    this.#manifest = value.files;
    this.#compareNames();
    return raw;
  }

  #compareNames() {
    const named = Object.keys(this.#manifest);
    const known = new Set(named.filter((name) => isKnown(name)));
    for (const name of this.#entries.keys()) {
      if (!known.has(name) && !OWN.includes(name)) this.#tell("file_unexpected", name);
    }
    for (const name of new Set([...named, ...OWN, ...FILES, ...STREAMS])) {
      if (!this.has(name)) this.#tell("file_missing", name);
    }
  }

  /** The files of a folder in their order. */
  numbered(folder) {
    const named = Object.keys(this.#manifest).filter((name) => NUMBERED.test(name));
    return named.filter((name) => name.startsWith(folder) && this.has(name)).sort();
  }

  /** The bytes of a small file, compared with the manifest. */
  async read(name) {
    if (!this.has(name)) return new Uint8Array();
    const raw = await this.#raw(name);
    this.#compare(name, raw.length, new Sha256().update(raw));
    return raw;
  }

  /** Yield the lines of a file without newlines; the whole is compared at the end. */
  async *lines(name, limit = MAX_LINE_BYTES) {
    if (!this.has(name)) return;
    const hash = new Sha256();
    const lines = new Lines(limit);
    let size = 0;
    for await (const part of unpack(this.#blob, this.#entries.get(name))) {
      hash.update(part);
      size += part.length;
      yield* lines.cut(part);
    }
    if (lines.broken()) this.#tell("file_malformed", `${name}: a line without end, or too long`);
    this.#compare(name, size, hash);
  }

  #compare(name, size, hash) {
    const row = this.#manifest[name];
    if (row && (row.bytes !== size || row.sha256 !== hex(hash.digest()))) {
      this.#tell("file_altered", name);
    }
  }

  async #raw(name) {
    if (!this.has(name)) throw new Unreadable(`${name} is missing`);
    const parts = [];
    for await (const part of unpack(this.#blob, this.#entries.get(name))) parts.push(part);
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }
}

/** Cuts parts into lines; after a line over the limit nothing is yielded any more. */
class Lines {
  #limit;
  #rest = new Uint8Array();
  #stopped = false;

  constructor(limit) {
    this.#limit = limit;
  }

  *cut(part) {
    let begin = 0;
    while (!this.#stopped) {
      const end = part.indexOf(NEWLINE, begin);
      const piece = part.subarray(begin, end < 0 ? part.length : end);
      this.#stopped = this.#rest.length + piece.length + (end < 0 ? 0 : 1) > this.#limit + 1;
      if (this.#stopped) return;
      const line = joined(this.#rest, piece);
      if (end < 0) {
        this.#rest = line;
        return;
      }
      this.#rest = new Uint8Array();
      begin = end + 1;
      yield line;
    }
  }

  broken() {
    return this.#stopped || this.#rest.length > 0;
  }
}

function joined(left, right) {
  if (!left.length) return right.slice();
  const whole = new Uint8Array(left.length + right.length);
  whole.set(left);
  whole.set(right, left.length);
  return whole;
}

function isKnown(name) {
  return FILES.includes(name) || STREAMS.includes(name) || NUMBERED.test(name);
}

function checkEntry({ name, flags, method, size }) {
  const limit = limitOf(name);
  if (flags & 1 || (method !== 0 && method !== 8)) {
    throw new Unreadable(`${name.slice(0, 100)} is encrypted or packed in another way than deflate`);
  }
  if (size > limit) {
    throw new Unreadable(`${name.slice(0, 100)} unpacks to ${size} bytes`);
  }
}

function limitOf(name) {
  if (STREAMS.includes(name)) return MAX_STREAM_BYTES;
  return NUMBERED.test(name) ? MAX_NUMBERED_BYTES : MAX_FILE_BYTES;
}
