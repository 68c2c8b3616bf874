// What an RFC 3161 time stamp is over, and whether it is as it was signed. By whom is not checked
// here: that takes the certificates of authorities.
import { hex, same, text } from "./bytes.js";
import { Malformed } from "./json.js";

// TimeStampResp → token → SignedData
const TO_DATA = [0, 1, 1, 0];
const MESSAGE_DIGEST = "2a864886f70d010904";
const RSA = "2a864886f70d010101";
const HASHES = {
  "608648016503040201": "SHA-256",
  "608648016503040202": "SHA-384",
  "608648016503040203": "SHA-512",
};
const SIGNED_WITH = {
  "2a8648ce3d040302": "SHA-256",
  "2a8648ce3d040303": "SHA-384",
  "2a8648ce3d040304": "SHA-512",
  "2a864886f70d01010b": "SHA-256",
  "2a864886f70d01010c": "SHA-384",
  "2a864886f70d01010d": "SHA-512",
};
/** Curves by their OID: the name, and the bytes of a number in a signature. */
const CURVES = {
  "2a8648ce3d030107": ["P-256", 32],
  "2b81040022": ["P-384", 48],
  "2b81040023": ["P-521", 66],
};

/** {imprint, atMs, data, content, signer} of a TimeStampResp; throws Malformed. */
export function stamped(raw) {
  const data = tagged(nested(raw, TO_DATA));
  const content = nested(at(data, 2).bytes, [1, 0]);
  const fields = values(nested(content, [0]));
  if (fields.length < 5) throw new Malformed("DER has not the form of RFC 3161");
  const signer = signerOf(data);
  return { imprint: nested(fields[2], [1]), atMs: timeOf(fields[4]), content, signer };
}

/**
 * Whether a time stamp says what its signer signed, whoever that is (RFC 5652, 5.4): false for one
 * that was changed. What cannot be looked at is taken as it is: a signature without a certificate,
 * or by another algorithm.
 */
export async function isWhole({ content, signer }) {
  if (!signer.hash) return true;
  const digest = new Uint8Array(await crypto.subtle.digest(signer.hash, content));
  if (!same(digest, signer.digest)) return false;
  return !signer.key || !signer.signedBy || (await signatureHolds(signer));
}

/** The parts of the one signer. */
function signerOf(data) {
  const fields = tagged(nested(at(data, data.length - 1).bytes, [0]));
  if (fields.length < 6 || fields[3].tag !== 0xa0) {
    throw new Malformed("DER has not the form of RFC 3161");
  }
  const [, sid, algorithm, attributes, signedWith, signature] = fields.map((one) => one.bytes);
  const hash = HASHES[hex(nested(algorithm, [0]))];
  const oid = hex(nested(signedWith, [0]));
  return {
    hash,
    digest: attribute(attributes, MESSAGE_DIGEST),
    signedBy: oid === RSA ? hash : SIGNED_WITH[oid],
    key: keyOf(data, sid),
    // A SET of attributes is signed; within the signer they have another tag.
    message: tlv(0x31, attributes),
    signature,
  };
}

function attribute(attributes, wanted) {
  const found = values(attributes).find((one) => hex(nested(one, [0])) === wanted);
  return found ? nested(found, [1, 0]) : new Uint8Array();
}

/** The SubjectPublicKeyInfo of the signer's certificate, null if it is not there. */
function keyOf(data, sid) {
  const certificates = data.slice(3).find((one) => one.tag === 0xa0);
  for (const certificate of certificates ? values(certificates.bytes) : []) {
    const fields = tagged(nested(certificate, [0]));
    const first = at(fields, 0).tag === 0xa0 ? 1 : 0; // the version
    if (fields.length < first + 6) throw new Malformed("DER has not the form of a certificate");
    const [issuer, serial] = [fields[first + 2].bytes, fields[first].bytes];
    if (same(joined(tlv(0x30, issuer), tlv(0x02, serial)), sid)) {
      return tlv(0x30, fields[first + 5].bytes);
    }
  }
  return null;
}

async function signatureHolds({ key, signature, message, signedBy }) {
  let curve, algorithm, opened;
  try {
    curve = CURVES[hex(nested(key, [0, 0, 1]))];
    algorithm = curve
      ? { name: "ECDSA", namedCurve: curve[0], hash: signedBy }
      : { name: "RSASSA-PKCS1-v1_5", hash: signedBy };
    opened = await crypto.subtle.importKey("spki", key, algorithm, false, ["verify"]);
  } catch {
    // Not a key, or none that this browser knows: who signed is not found out here in any case.
    return true;
  }
  try {
    const bytes = curve ? numbers(signature, curve[1]) : signature;
    return await crypto.subtle.verify(algorithm, opened, bytes, message);
  } catch {
    return false;
  }
}

/** The two numbers of a signature by ECDSA, side by side, as WebCrypto takes them. */
function numbers(signature, bytes) {
  const [outer, ...others] = tagged(signature);
  const inner = outer?.tag === 0x30 ? tagged(outer.bytes) : [];
  if (others.length || inner.length !== 2 || !inner.every(isPositive)) {
    throw new Malformed("DER has not the form of a signature");
  }
  return joined(...inner.map((one) => padded(one.bytes, bytes)));
}

/** Whether a value is a positive number in its one form. */
function isPositive({ tag, bytes: [first, second] }) {
  return tag === 0x02 && first < 0x80 && (first > 0 || second >= 0x80);
}

/** A number in so many bytes. */
function padded(number, bytes) {
  const digits = number[0] ? number : number.subarray(1);
  if (digits.length > bytes) throw new Malformed("a number of the signature is too large");
  const made = new Uint8Array(bytes);
  made.set(digits, bytes - digits.length);
  return made;
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

// DER

function nested(raw, path) {
  return path.reduce((bytes, position) => at(tagged(bytes), position).bytes, raw);
}

function at(list, position) {
  const inner = list[position];
  if (!inner) throw new Malformed("DER has not the form of RFC 3161");
  return inner;
}

/** The contents of the DER values in some bytes. */
function values(raw) {
  return tagged(raw).map((one) => one.bytes);
}

/** The DER values in some bytes: {tag, bytes}. */
function tagged(raw) {
  const found = [];
  let from = 0;
  while (from < raw.length) {
    if (from + 2 > raw.length) throw new Malformed("DER ends too early");
    let size = raw[from + 1];
    let begin = from + 2;
    if (size & 0x80) {
      const bytes = raw.subarray(begin, begin + (size & 0x7f));
      begin += size & 0x7f;
      size = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    }
    if (begin + size > raw.length) throw new Malformed("DER ends too early");
    found.push({ tag: raw[from], bytes: raw.subarray(begin, begin + size) });
    from = begin + size;
  }
  return found;
}

function tlv(tag, content) {
  const size = content.length;
  if (size < 0x80) return joined([tag, size], content);
  const digits = [];
  for (let left = size; left; left = Math.floor(left / 256)) digits.unshift(left % 256);
  return joined([tag, 0x80 | digits.length, ...digits], content);
}

function joined(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
