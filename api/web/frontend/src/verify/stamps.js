// What an RFC 3161 time stamp is over. Who made it is not checked here: that takes certificates.
import { Malformed } from "./json.js";
import { text } from "./bytes.js";

// TimeStampResp → token → SignedData → encapContentInfo → [0] → OCTET STRING → TSTInfo
const TO_INFO = [0, 1, 1, 0, 2, 1, 0, 0];

/** {imprint, atMs} of a TimeStampResp; throws Malformed. */
export function stamped(raw) {
  const fields = values(nested(raw, TO_INFO));
  if (fields.length < 5) throw new Malformed("DER has not the form of RFC 3161");
  return { imprint: nested(fields[2], [1]), atMs: timeOf(fields[4]) };
}

function timeOf(bytes) {
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d+)?Z$/.exec(ascii(bytes));
  const [year, month, day, ...clock] = found ? found.slice(1, 7) : [];
  const atMs = Date.parse(`${year}-${month}-${day}T${clock.join(":")}Z`);
  // Date.parse takes 30 February for a day of March.
  if (Number.isNaN(atMs) || new Date(atMs).getUTCDate() !== Number(day)) {
    throw new Malformed("the time of the stamp cannot be read");
  }
  return atMs;
}

function ascii(bytes) {
  try {
    return text(bytes);
  } catch {
    return "";
  }
}

function nested(raw, path) {
  return path.reduce((bytes, position) => {
    const inner = values(bytes)[position];
    if (!inner) throw new Malformed("DER has not the form of RFC 3161");
    return inner;
  }, raw);
}

/** The contents of the DER values in some bytes. */
function values(raw) {
  const found = [];
  let at = 0;
  while (at < raw.length) {
    if (at + 2 > raw.length) throw new Malformed("DER ends too early");
    let size = raw[at + 1];
    let begin = at + 2;
    if (size & 0x80) {
      const bytes = raw.subarray(begin, begin + (size & 0x7f));
      begin += size & 0x7f;
      size = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    }
    if (begin + size > raw.length) throw new Malformed("DER ends too early");
    found.push(raw.subarray(begin, begin + size));
    at = begin + size;
  }
  return found;
}
