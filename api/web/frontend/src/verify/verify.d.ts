// What the verifier offers to TypeScript.

export interface Finding {
  code: string;
  times: number;
  /** One sentence. */
  what: string;
  /** Where it was found, the first twenty places. */
  where: string[];
}

export interface Population {
  by_control: Record<string, number>;
  by_kind: Record<string, number>;
  by_verdict: Record<string, number>;
  others: number;
  records: number;
  withheld: number;
}

/** What stands beside `valid` is there once pack.json could be read. */
export interface Result {
  format: "betrace.verification/1";
  valid: boolean;
  failures: Finding[];
  warnings: Finding[];
  tenant?: string;
  origin?: string;
  range?: { first: number; end: number };
  checkpoints?: number;
  newest?: { size: number; root: string } | null;
  sealed_ms?: number | null;
  keys?: string[];
  population?: Population;
  coverage?: Record<string, string | number>[];
}

export interface Asked {
  /** Verifier keys that are known. */
  keys?: string[];
  /** The note of the last checkpoint that was seen. */
  checkpoint?: Uint8Array;
}

export const REASONS: Record<string, string>;
export const WARNINGS: Record<string, string>;

/** Verify a pack; rejects with NotSupportedError where the browser has no Ed25519. */
export function verify(blob: Blob, asked?: Asked): Promise<Result>;
