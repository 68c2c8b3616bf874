// Reads the zip archives that packs are: stored or deflated files, streamed, checked by CRC.
import { text } from "./bytes.js";

export const MAX_ENTRIES = 50_000;
const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const MAX_COMMENT = 65_535;
const ZIP64 = 0xffffffff;

/** The archive cannot be read; the message is the place. */
export class Unreadable extends Error {}

/** Return the entries of an archive by name: {name, method, packed, size, at, crc}. */
export async function readDirectory(blob) {
  const tail = await bytesOf(blob, Math.max(0, blob.size - END_BYTES - MAX_COMMENT), blob.size);
  const end = endOf(tail);
  const count = end.getUint16(10, true);
  const size = end.getUint32(12, true);
  const start = end.getUint32(16, true);
  if (count === 0xffff || size === ZIP64 || start === ZIP64) {
    throw new Unreadable("the archive is too large for this verifier: use verify.py");
  }
  if (count > MAX_ENTRIES) throw new Unreadable(`${count} files; ${MAX_ENTRIES} are the most`);
  const central = await bytesOf(blob, start, start + size);
  return entriesOf(central, count);
}

function endOf(tail) {
  const view = new DataView(tail.buffer);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) === END) return new DataView(tail.buffer, at);
  }
  throw new Unreadable("it is no zip archive");
}

function entriesOf(central, count) {
  const view = new DataView(central.buffer);
  const entries = new Map();
  let at = 0;
  for (let number = 0; number < count; number++) {
    if (at + 46 > central.length || view.getUint32(at, true) !== CENTRAL) {
      throw new Unreadable("the directory of the archive is damaged");
    }
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const entry = {
      name: nameOf(central.subarray(at + 46, at + 46 + nameBytes)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
    };
    if (entries.has(entry.name)) throw new Unreadable("two files have one name");
    if (entry.packed === ZIP64 || entry.size === ZIP64 || entry.at === ZIP64) {
      throw new Unreadable("a file is too large for this verifier: use verify.py");
    }
    entries.set(entry.name, entry);
    at += 46 + nameBytes + extra + comment;
  }
  return entries;
}

function nameOf(bytes) {
  try {
    return text(bytes);
  } catch {
    throw new Unreadable("a file's name is not UTF-8");
  }
}

/** Yield the bytes of an entry in parts; throws Unreadable if they are not what it promised. */
export async function* unpack(blob, entry) {
  const begin = await contentStart(blob, entry);
  let stream = blob.slice(begin, begin + entry.packed).stream();
  if (entry.method === 8) stream = stream.pipeThrough(new DecompressionStream("deflate-raw"));
  let crc = -1;
  let size = 0;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > entry.size) throw new Unreadable(`${entry.name} unpacks to more than it says`);
      crc = crcOf(value, crc);
      yield value;
    }
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    throw new Unreadable(`${entry.name} cannot be unpacked: ${error.message}`);
  } finally {
    reader.cancel().catch(() => undefined);
  }
  if (size !== entry.size || ~crc >>> 0 !== entry.crc) {
    throw new Unreadable(`${entry.name} is damaged: its CRC or size is wrong`);
  }
}

async function contentStart(blob, entry) {
  const header = await bytesOf(blob, entry.at, entry.at + 30);
  const view = new DataView(header.buffer);
  if (header.length < 30 || view.getUint32(0, true) !== LOCAL) {
    throw new Unreadable(`${entry.name} is not where the directory says`);
  }
  return entry.at + 30 + view.getUint16(26, true) + view.getUint16(28, true);
}

async function bytesOf(blob, begin, end) {
  return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crcOf(bytes, begun) {
  let crc = begun;
  for (let at = 0; at < bytes.length; at++) crc = CRC[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return crc;
}
