// Which rows of a trace are to be seen: a closed row hides what hangs below it, and since that is a
// stretch of row numbers, rows need not be loaded to be hidden. "Seen" numbers count what is seen.

interface Stretch {
  first: number;
  last: number;
  /** How many rows are hidden by the stretches before this one. */
  before: number;
}

/** The closed rows of a trace with so many rows. */
export class Folds {
  private readonly closed = new Map<number, number>();
  private stretches: Stretch[] = [];
  private hidden = 0;

  constructor(public readonly total: number) {}

  /** How many rows are to be seen. */
  get seenCount(): number {
    return this.total - this.hidden;
  }

  isClosed(row: number): boolean {
    return this.closed.has(row);
  }

  /** Hide the `below` rows that hang below a row. */
  close(row: number, below: number): void {
    if (below <= 0) return;
    this.closed.set(row, below);
    this.measure();
  }

  open(row: number): void {
    if (this.closed.delete(row)) this.measure();
  }

  /** Open everything that hides a row. Whether anything did. */
  reveal(row: number): boolean {
    const above = [...this.closed].filter(([top, below]) => top < row && row <= top + below);
    for (const [top] of above) this.closed.delete(top);
    if (above.length > 0) this.measure();
    return above.length > 0;
  }

  /** The row at a seen number. */
  rowAt(seen: number): number {
    let low = 0;
    let high = this.stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const stretch = this.stretches[middle]!;
      if (stretch.first - stretch.before <= seen) low = middle + 1;
      else high = middle;
    }
    const last = this.stretches[low - 1];
    return last ? seen + last.before + (last.last - last.first + 1) : seen;
  }

  /** The seen number of a row; of a hidden one that of the closed row above it. */
  seenOf(row: number): number {
    let low = 0;
    let high = this.stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.stretches[middle]!.first <= row) low = middle + 1;
      else high = middle;
    }
    const last = this.stretches[low - 1];
    if (!last) return row;
    if (row <= last.last) return last.first - 1 - last.before;
    return row - last.before - (last.last - last.first + 1);
  }

  private measure(): void {
    this.stretches = [];
    this.hidden = 0;
    for (const [row, below] of [...this.closed].sort((a, b) => a[0] - b[0])) {
      const last = this.stretches[this.stretches.length - 1];
      if (last && row <= last.last) continue;
      this.stretches.push({ first: row + 1, last: row + below, before: this.hidden });
      this.hidden += below;
    }
  }
}
