// The Merkle tree of RFC 6962: hashes, a tree that grows at its right edge, consistency.
import { same } from "./bytes.js";
import { sha256 } from "./sha256.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export const leafHash = (entry) => sha256(LEAF, entry);
export const nodeHash = (left, right) => sha256(NODE, left, right);

/** Sizes stay below 2^53, so they are divided and not shifted: JavaScript shifts 32 bits. */
export class Tree {
  size = 0;
  #edge = [];

  /** Append a full subtree of `count` leaves, a power of two that divides the size. */
  add(hashed, count = 1) {
    let index = this.size / count;
    while (index % 2 === 1) {
      hashed = nodeHash(this.#edge.pop(), hashed);
      index = (index - 1) / 2;
    }
    this.#edge.push(hashed);
    this.size += count;
  }

  root() {
    if (!this.#edge.length) return sha256();
    return this.#edge.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** Whether one checkpoint's tree begins with the other's (RFC 9162, 2.1.4.2; 0 < old < new). */
export function consistencyHolds(proof, older, newer) {
  const path = [...proof];
  let at = older.size - 1;
  let last = newer.size - 1;
  if (isPowerOfTwo(older.size)) path.unshift(older.root);
  if (!path.length) return false;
  while (at % 2) [at, last] = [half(at), half(last)];
  let [was] = path;
  let now = was;
  for (const other of path.slice(1)) {
    if (last === 0) return false;
    if (at % 2 || at === last) {
      was = nodeHash(other, was);
      now = nodeHash(other, now);
      while (at && at % 2 === 0) [at, last] = [half(at), half(last)];
    } else {
      now = nodeHash(now, other);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(was, older.root) && same(now, newer.root);
}

export function isPowerOfTwo(count) {
  let left = count;
  while (left > 1 && left % 2 === 0) left /= 2;
  return left === 1;
}

function half(number) {
  return Math.floor(number / 2);
}
