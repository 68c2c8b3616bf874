// Bytes as text and back.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 of a text. @param {string} text */
export function utf8(text) {
  return encoder.encode(text);
}

/** Text of UTF-8; throws TypeError for anything else. @param {Uint8Array} bytes */
export function text(bytes) {
  return decoder.decode(bytes);
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  let made = "";
  for (const byte of bytes) made += byte.toString(16).padStart(2, "0");
  return made;
}

/** Bytes of base64, null if it is not base64 with its padding. @param {string} packed */
export function unbase64(packed) {
  if (packed.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) return null;
  return Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** @param {Uint8Array} left @param {Uint8Array} right */
export function same(left, right) {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
