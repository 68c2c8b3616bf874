// The rows that are on screen, and no others: elements are placed by hand and used again for other
// rows as the list scrolls. Opened details stand below their rows and keep their elements.
import { durationText } from "./durations";
import { icon, make } from "./elements";
import type { Folds } from "./folds";
import { FAILED, GHOST, ORPHAN, type Row, type Rows } from "./rows";

const OVERSCAN = 8;
const INDENT = 14;
const INDENT_LEVELS = 14;
const HUES = 8;

/** The stretch of time that bars are drawn on, in ns from the trace's start. */
export interface Extent {
  from: number;
  to: number;
}

interface Shown {
  element: HTMLElement;
  name: HTMLElement;
  bars: HTMLElement;
  time: HTMLElement;
  /** What the element was drawn from; drawn again only if that has changed. */
  drawn: string;
}

interface Opened {
  element: HTMLElement;
  height: number;
}

export interface ListState {
  active: number;
  extent: Extent;
  showPath: boolean;
  found: ReadonlySet<number>;
}

/** The scrolling list of one waterfall. */
export class RowList {
  private readonly shown = new Map<number, Shown>();
  private readonly spare: Shown[] = [];
  private readonly opened = new Map<number, Opened>();
  private readonly sizes: ResizeObserver;
  private rowHeight = 30;
  private planned = false;

  constructor(
    private readonly view: HTMLElement,
    private readonly body: HTMLElement,
    private readonly rows: Rows,
    private readonly folds: Folds,
    private readonly state: ListState,
  ) {
    this.sizes = new ResizeObserver(() => this.measure());
    view.addEventListener("scroll", () => this.plan(), { passive: true });
    new ResizeObserver(() => this.plan()).observe(view);
  }

  /** Draw with the next frame. */
  plan(): void {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.draw();
    });
  }

  isOpen(row: number): boolean {
    return this.opened.has(row);
  }

  openDetail(row: number, content: HTMLElement): void {
    const cell = make("div", "span-detail-cell", { role: "gridcell", "aria-colspan": "3" }, content);
    const element = make("div", "wf-detail", { role: "row" }, cell);
    this.body.append(element);
    this.opened.set(row, { element, height: element.offsetHeight });
    this.sizes.observe(element);
    this.plan();
  }

  closeDetail(row: number): void {
    const opened = this.opened.get(row);
    if (!opened) return;
    this.sizes.unobserve(opened.element);
    opened.element.remove();
    this.opened.delete(row);
    this.plan();
  }

  /** Scroll so that a row is seen, as little as possible; centred: to the middle if it was not. */
  scrollTo(row: number, centred = false): void {
    this.readHeight();
    const top = this.topOf(this.folds.seenOf(row));
    const bottom = top + this.rowHeight;
    const { scrollTop, clientHeight } = this.view;
    if (top < scrollTop || bottom > scrollTop + clientHeight) {
      if (centred) this.view.scrollTop = top - clientHeight / 2;
      else this.view.scrollTop = top < scrollTop ? top : bottom - clientHeight;
    }
    this.plan();
  }

  /** How many rows fit on one screen. */
  get pageSize(): number {
    return Math.max(1, Math.floor(this.view.clientHeight / this.rowHeight) - 1);
  }

  draw(): void {
    this.readHeight();
    const count = this.folds.seenCount;
    const openHeight = this.openRows().reduce((sum, [, opened]) => sum + opened.height, 0);
    this.body.style.height = `${count * this.rowHeight + openHeight}px`;
    const first = Math.max(0, this.seenAt(this.view.scrollTop) - OVERSCAN);
    const bottom = this.view.scrollTop + this.view.clientHeight;
    const last = Math.min(count - 1, this.seenAt(bottom) + OVERSCAN);
    const wanted = new Set<number>();
    for (let seen = first; seen <= last; seen += 1) wanted.add(this.folds.rowAt(seen));
    for (const [row, shown] of this.shown) {
      if (wanted.has(row)) continue;
      this.shown.delete(row);
      this.spare.push(shown);
    }
    for (const row of wanted) this.show(row);
    for (const shown of this.spare) shown.element.hidden = true;
    this.placeDetails();
    this.rows.want(wanted);
    const active = this.shown.get(this.state.active);
    if (active) this.view.setAttribute("aria-activedescendant", active.element.id);
    else this.view.removeAttribute("aria-activedescendant");
  }

  private show(number: number): void {
    let shown = this.shown.get(number);
    if (!shown) {
      shown = this.spare.pop() ?? this.newElement();
      shown.element.hidden = false;
      this.shown.set(number, shown);
    }
    const row = this.rows.get(number);
    shown.element.style.transform = `translateY(${this.topOf(this.folds.seenOf(number))}px)`;
    const { active, extent, showPath, found } = this.state;
    const closed = this.folds.isClosed(number);
    const drawn = [
      number,
      row ? 1 : 0,
      closed,
      active === number,
      extent.from,
      extent.to,
      showPath,
      found.has(number),
      this.opened.has(number),
    ].join();
    if (shown.drawn === drawn) return;
    shown.drawn = drawn;
    this.fill(shown, number, row);
  }

  private fill(shown: Shown, number: number, row: Row | undefined): void {
    const { element, name, bars, time } = shown;
    const marks = this.rows.marks.get(number) ?? [];
    const ghost = this.rows.ghosts.get(number);
    element.id = `wf-row-${number}`;
    element.dataset.row = String(number);
    element.setAttribute("aria-rowindex", String(number + 1));
    element.setAttribute("aria-selected", String(this.state.active === number));
    element.className = "wf-row";
    if (!row) {
      element.classList.add("wf-loading");
      element.removeAttribute("aria-level");
      element.removeAttribute("aria-expanded");
      name.replaceChildren(make("span", "span-title muted", {}, "…"));
      bars.replaceChildren();
      time.textContent = "";
      return;
    }
    element.classList.toggle("wf-active", this.state.active === number);
    element.classList.toggle("wf-marked", marks.length > 0);
    element.classList.toggle("wf-found", this.state.found.has(number));
    element.classList.toggle("wf-ghost", ghost !== undefined);
    element.classList.toggle("wf-open", this.opened.has(number));
    if (row.service >= 0) element.classList.add(`service-${row.service % HUES}`);
    element.setAttribute("aria-level", String(row.depth + 1));
    if (row.below > 0) element.setAttribute("aria-expanded", String(!this.folds.isClosed(number)));
    else element.removeAttribute("aria-expanded");
    name.replaceChildren(...this.nameParts(row, marks, ghost?.clause));
    bars.replaceChildren(...this.barParts(row));
    time.textContent = ghost ? "missing" : durationText(row.durationNs);
  }

  private nameParts(row: Row, marks: string[], missedBy: string | undefined): Node[] {
    const indent = make("span", "wf-indent");
    indent.style.width = `${Math.min(row.depth, INDENT_LEVELS) * INDENT}px`;
    const twist = make("span", "wf-twist");
    if (row.below > 0) twist.append(icon("chevron-right"));
    const parts: Node[] = [indent, twist];
    if (missedBy === undefined) parts.push(make("span", "service-dot"));
    parts.push(make("span", "span-title", { title: row.name }, row.name));
    if (row.flags & FAILED) parts.push(make("span", "span-error-mark", {}, icon("circle-alert", "error")));
    if (row.flags & ORPHAN) {
      parts.push(make("span", "chip", { title: "The parent it names did not come" }, "no parent"));
    }
    if (missedBy !== undefined) parts.push(chip(missedBy, `${missedBy} misses this span`));
    for (const mark of marks) {
      const title = mark === "miss" ? "Came nearest to a span that is missing" : `${mark} rests on it`;
      parts.push(chip(mark === "miss" ? "nearest miss" : mark, title));
    }
    if (this.folds.isClosed(row.number)) {
      const hidden = row.errorsBelow > 0 ? `+${row.below}, ${row.errorsBelow} failed` : `+${row.below}`;
      parts.push(make("span", "chip wf-hidden", {}, hidden));
    }
    const service = this.rows.trace.services[row.service];
    if (service) parts.push(make("span", "span-service", {}, service.name || "unknown service"));
    return parts;
  }

  private barParts(row: Row): Node[] {
    const bar = make("span", row.flags & FAILED ? "wf-bar wf-bar-failed" : "wf-bar");
    if (row.flags & GHOST) bar.className = "wf-bar wf-bar-ghost";
    this.place(bar, row.startNs, row.startNs + Math.max(0, row.durationNs));
    const parts: Node[] = [bar];
    if (this.state.showPath) {
      for (const [from, to] of row.critical) {
        const stretch = make("span", "wf-critical");
        this.place(stretch, from, to);
        parts.push(stretch);
      }
    }
    return parts;
  }

  private place(element: HTMLElement, fromNs: number, toNs: number): void {
    const { from, to } = this.state.extent;
    const length = Math.max(1, to - from);
    const left = ((fromNs - from) / length) * 100;
    const width = ((toNs - fromNs) / length) * 100;
    // Far beyond the edges a bar is cut, or its width would be more than a browser can lay out.
    const start = Math.max(left, -100);
    element.style.left = `${start.toFixed(4)}%`;
    element.style.width = `${Math.max(0, Math.min(left + width, 200) - start).toFixed(4)}%`;
    element.hidden = left > 100 || left + width < 0;
  }

  private newElement(): Shown {
    const name = make("div", "wf-name", { role: "gridcell" });
    const bars = make("div", "wf-bars", { role: "gridcell" });
    const time = make("div", "span-duration", { role: "gridcell" });
    const element = make("div", "wf-row", { role: "row" }, name, bars, time);
    this.body.append(element);
    return { element, name, bars, time, drawn: "" };
  }

  private placeDetails(): void {
    for (const [row, opened] of this.opened) {
      const seen = this.folds.seenOf(row);
      const hidden = this.folds.rowAt(seen) !== row;
      opened.element.hidden = hidden;
      if (!hidden) opened.element.style.transform = `translateY(${this.topOf(seen) + this.rowHeight}px)`;
    }
  }

  private measure(): void {
    for (const opened of this.opened.values()) {
      if (!opened.element.hidden) opened.height = opened.element.offsetHeight;
    }
    this.draw();
  }

  /** Opened rows that are to be seen, from the top. */
  private openRows(): [seen: number, opened: Opened][] {
    return [...this.opened]
      .map(([row, opened]): [number, Opened, number] => [this.folds.seenOf(row), opened, row])
      .filter(([seen, , row]) => this.folds.rowAt(seen) === row)
      .map(([seen, opened]): [number, Opened] => [seen, opened])
      .sort((a, b) => a[0] - b[0]);
  }

  private topOf(seen: number): number {
    let top = seen * this.rowHeight;
    for (const [above, opened] of this.openRows()) if (above < seen) top += opened.height;
    return top;
  }

  /** The seen number of what stands at a height. */
  private seenAt(height: number): number {
    let left = height;
    for (const [seen, opened] of this.openRows()) {
      const below = (seen + 1) * this.rowHeight;
      if (left <= below) break;
      left = Math.max(below, left - opened.height);
    }
    return Math.min(Math.max(0, this.folds.seenCount - 1), Math.floor(left / this.rowHeight));
  }

  private readHeight(): void {
    const height = parseFloat(getComputedStyle(this.view).getPropertyValue("--row-height"));
    if (height > 0 && height !== this.rowHeight) {
      this.rowHeight = height;
      for (const shown of this.shown.values()) shown.drawn = "";
    }
  }
}

function chip(text: string, title: string): HTMLElement {
  return make("span", "chip chip-match", { title }, text);
}
