// The rows of a trace, fetched in pages as they are needed and kept.

const PAGE_ROWS = 1000;
const AT_A_TIME = 3;

export const FAILED = 1;
export const ORPHAN = 2;
export const GHOST = 4;

/** One row: a span, or a place where one is missing. Times are ns from the trace's start. */
export interface Row {
  number: number;
  ordinal: number;
  parent: number;
  depth: number;
  below: number;
  errorsBelow: number;
  name: string;
  service: number;
  startNs: number;
  durationNs: number;
  flags: number;
  critical: [from: number, to: number][];
}

export interface Ghost {
  row: number;
  clause: string;
  text: string;
  from_ns: number;
  to_ns: number;
}

export interface Service {
  name: string;
  span_count: number;
  error_count: number;
}

type Column =
  | "ordinal"
  | "parent"
  | "depth"
  | "below"
  | "errors_below"
  | "name"
  | "service"
  | "start_ns"
  | "duration_ns"
  | "flags";

/** What the server answers (RowsBody of the API). */
interface Page {
  row_count: number;
  span_count: number;
  error_count: number;
  start_ns: number;
  duration_ns: number;
  services: Service[];
  marks: [row: number, clauses: string[]][];
  ghosts: Ghost[];
  first: number;
  rows: Record<Column, number[]>;
  names: string[];
  critical: [row: number, from: number, to: number][];
}

interface Kept {
  page: Page;
  critical: Map<number, [number, number][]>;
}

/** What a request came to that was refused or not answered. */
export class NotLoaded extends Error {}

/** Fetch JSON of this site. Raises NotLoaded with a sentence for people. */
export async function fetchJson<T>(url: string): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(url, { headers: { Accept: "application/json" } });
  } catch {
    throw new NotLoaded("The server does not answer.");
  }
  if (answer.ok) return (await answer.json()) as T;
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
  throw new NotLoaded(problem.detail ?? `The server answers ${answer.status}.`);
}

/** All rows of a trace, of which only some are here. */
export class Rows {
  readonly marks: Map<number, string[]>;
  readonly ghosts: Map<number, Ghost>;
  private readonly kept = new Map<number, Kept>();
  private readonly coming = new Set<number>();

  private constructor(
    private readonly url: string,
    readonly trace: Page,
    private readonly changed: () => void,
    private readonly failed: (reason: string) => void,
  ) {
    this.marks = new Map(trace.marks);
    this.ghosts = new Map(trace.ghosts.map((ghost) => [ghost.row, ghost]));
    this.keep(0, trace);
  }

  /** Fetch the first page. changed: called when more rows are here. Raises NotLoaded. */
  static async load(
    url: string,
    told: { changed: () => void; failed: (reason: string) => void },
  ): Promise<Rows> {
    const page = await fetchJson<Page>(`${url}?first=0&limit=${PAGE_ROWS}`);
    return new Rows(url, page, told.changed, told.failed);
  }

  get total(): number {
    return this.trace.row_count;
  }

  /** The row with a number, or undefined while it is not here. */
  get(number: number): Row | undefined {
    const kept = this.kept.get(Math.floor(number / PAGE_ROWS));
    if (!kept) return undefined;
    const { page } = kept;
    const at = number - page.first;
    const columns = page.rows;
    if (at >= columns.ordinal.length) return undefined;
    return {
      number,
      ordinal: columns.ordinal[at]!,
      parent: columns.parent[at]!,
      depth: columns.depth[at]!,
      below: columns.below[at]!,
      errorsBelow: columns.errors_below[at]!,
      name: page.names[columns.name[at]!] ?? "",
      service: columns.service[at]!,
      startNs: columns.start_ns[at]!,
      durationNs: columns.duration_ns[at]!,
      flags: columns.flags[at]!,
      critical: kept.critical.get(number) ?? [],
    };
  }

  /** Fetch the pages of rows that are wanted now, a few at a time; `changed` tells of each. */
  want(rows: Iterable<number>): void {
    for (const row of rows) {
      const page = Math.floor(row / PAGE_ROWS);
      if (this.kept.has(page) || this.coming.has(page)) continue;
      if (this.coming.size >= AT_A_TIME) return;
      void this.fetch(page);
    }
  }

  /** Return the row with a number, fetched if it must be. Raises NotLoaded. */
  async at(number: number): Promise<Row | undefined> {
    const page = Math.floor(number / PAGE_ROWS);
    if (number < 0 || number >= this.total) return undefined;
    if (!this.kept.has(page)) this.keep(page, await this.page(page));
    return this.get(number);
  }

  private async fetch(page: number): Promise<void> {
    this.coming.add(page);
    try {
      this.keep(page, await this.page(page));
      this.coming.delete(page);
      this.changed();
    } catch (error) {
      this.coming.delete(page);
      if (!(error instanceof NotLoaded)) throw error;
      this.failed(error.message);
    }
  }

  private page(page: number): Promise<Page> {
    return fetchJson<Page>(`${this.url}?first=${page * PAGE_ROWS}&limit=${PAGE_ROWS}`);
  }

  private keep(number: number, page: Page): void {
    const critical = new Map<number, [number, number][]>();
    for (const [row, from, to] of page.critical) {
      const stretches = critical.get(row);
      if (stretches) stretches.push([from, to]);
      else critical.set(row, [[from, to]]);
    }
    this.kept.set(number, { page, critical });
  }
}
