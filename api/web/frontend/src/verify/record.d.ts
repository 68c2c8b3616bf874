// What the verifier of single records offers to TypeScript.

export interface LogKey {
  verifier_key: string;
  retired: number | null;
  revoked_since: number | null;
}

/** line, proof: base64; proof: lowest hash first. */
export interface Material {
  seq: number;
  line: string;
  proof: string[];
  checkpoint: string;
  keys: LogKey[];
}

export interface Step {
  what: string;
  holds: boolean;
  detail: string;
}

export interface RecordResult {
  valid: boolean;
  /** A checkpoint was signed since the record was sealed; without one it cannot be valid yet. */
  covered: boolean;
  steps: Step[];
}

/** Verify a record; rejects with NotSupportedError where the browser has no Ed25519. */
export function verifyRecord(
  material: Material,
  asked?: { known?: string },
): Promise<RecordResult>;
