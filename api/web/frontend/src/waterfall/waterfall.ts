// A trace as a waterfall: rows on a time axis, of any number, with search, folding, errors, the
// critical path, zoom and the span in full. All of it by keyboard: the list is one stop of the Tab
// key, and arrows walk inside of it.
import { spanDetail, ghostDetail, type DetailActions } from "./detail";
import { durationText } from "./durations";
import { make, setSprite } from "./elements";
import { Folds } from "./folds";
import { RowList, type Extent, type ListState } from "./list";
import { fetchJson, NotLoaded, Rows } from "./rows";

const HUES = 8;
const TICKS = [0, 25, 50, 75, 100];
const DRAG_MIN_PX = 4;
const SERVICES_MAX = 24;

/** Start every waterfall of the page. */
export function startWaterfalls(): void {
  for (const root of document.querySelectorAll<HTMLElement>("[data-waterfall]")) {
    void load(root);
  }
}

async function load(root: HTMLElement): Promise<void> {
  const state = part(root, "state");
  const told = {
    changed: () => waterfall?.redraw(),
    failed: (reason: string) => waterfall?.say(reason),
  };
  let waterfall: Waterfall | undefined;
  root.hidden = false;
  setSprite(root.dataset.icons ?? "");
  try {
    const rows = await Rows.load(root.dataset.waterfall ?? "", told);
    waterfall = new Waterfall(root, rows);
    state.textContent = "";
    root.dataset.ready = "";
    await waterfall.begin();
  } catch (error) {
    if (!(error instanceof NotLoaded)) throw error;
    const again = make("button", "button button-small", { type: "button" }, "Try again");
    again.addEventListener("click", () => {
      state.textContent = "Loading the spans…";
      void load(root);
    });
    state.replaceChildren(`The spans could not be loaded. ${error.message} `, again);
  }
}

function part(root: HTMLElement, name: string): HTMLElement {
  const found = root.querySelector<HTMLElement>(`[data-part="${name}"]`);
  if (!found) throw new Error(`the waterfall has no ${name}`);
  return found;
}

class Waterfall {
  private readonly folds: Folds;
  private readonly list: RowList;
  private readonly view: HTMLElement;
  private readonly state: ListState;
  private found: number[] = [];
  private failedRows: number[] | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly rows: Rows,
  ) {
    this.view = part(root, "list");
    this.folds = new Folds(rows.total);
    this.state = { active: 0, extent: this.whole, showPath: true, found: new Set() };
    this.list = new RowList(this.view, part(root, "rows"), rows, this.folds, this.state);
    this.view.setAttribute("aria-rowcount", String(rows.total));
    this.fillLegend();
    this.fillAxis();
    this.listen();
  }

  /** Show where the page was asked to be, else where the rule looked first. */
  async begin(): Promise<void> {
    part(this.root, "errors").hidden = this.rows.trace.error_count === 0;
    part(this.root, "rule").hidden = this.ruleRows().length === 0;
    this.list.draw();
    window.addEventListener("hashchange", () => void this.followHash());
    if (await this.followHash()) return;
    const first = [...this.rows.ghosts.keys()][0] ?? this.ruleRows()[0];
    if (first !== undefined) this.activate(first, { centred: true });
  }

  redraw(): void {
    this.list.plan();
  }

  say(text: string): void {
    part(this.root, "state").textContent = text;
  }

  private get whole(): Extent {
    return { from: 0, to: Math.max(1, this.rows.trace.duration_ns) };
  }

  // ------------------------------------------------------------------ moving

  private activate(row: number, { centred = false } = {}): void {
    this.state.active = Math.min(Math.max(row, 0), this.rows.total - 1);
    if (this.folds.reveal(this.state.active)) this.redraw();
    this.list.scrollTo(this.state.active, centred);
  }

  private step(by: number): void {
    const seen = this.folds.seenOf(this.state.active) + by;
    const last = this.folds.seenCount - 1;
    this.activate(this.folds.rowAt(Math.min(Math.max(seen, 0), last)));
  }

  private inward(): void {
    const row = this.rows.get(this.state.active);
    if (!row || row.below === 0) return;
    if (this.folds.isClosed(row.number)) this.fold(row.number);
    else this.activate(row.number + 1);
  }

  private outward(): void {
    const row = this.rows.get(this.state.active);
    if (!row) return;
    if (row.below > 0 && !this.folds.isClosed(row.number)) this.fold(row.number);
    else if (row.parent >= 0) this.activate(row.parent);
  }

  private fold(number: number): void {
    const row = this.rows.get(number);
    if (!row || row.below === 0) return;
    if (this.folds.isClosed(number)) this.folds.open(number);
    else this.folds.close(number, row.below);
    this.redraw();
  }

  private next(rows: number[], direction: 1 | -1): void {
    if (rows.length === 0) return;
    const at = direction > 0 ? rows.find((row) => row > this.state.active) : last(rows, this.state.active);
    this.activate(at ?? rows[direction > 0 ? 0 : rows.length - 1]!, { centred: true });
    this.view.focus({ preventScroll: true });
  }

  private async nextError(direction: 1 | -1): Promise<void> {
    if (!this.failedRows) this.failedRows = await this.search("failed=true");
    this.next(this.failedRows ?? [], direction);
  }

  private ruleRows(): number[] {
    return [...new Set([...this.rows.marks.keys(), ...this.rows.ghosts.keys()])].sort((a, b) => a - b);
  }

  // ------------------------------------------------------------------ opening

  private async toggle(number: number): Promise<void> {
    if (this.list.isOpen(number)) {
      this.list.closeDetail(number);
      return;
    }
    const row = await this.rows.at(number);
    if (!row || this.list.isOpen(number)) return;
    const actions: DetailActions = {
      close: () => {
        this.list.closeDetail(number);
        this.view.focus({ preventScroll: true });
      },
      zoom: () => this.zoomTo(row.startNs, row.startNs + Math.max(0, row.durationNs)),
    };
    const ghost = this.rows.ghosts.get(number);
    const url = this.root.dataset.spans ?? "";
    const content = ghost
      ? ghostDetail(ghost, actions)
      : spanDetail(url, row, this.rows.trace.start_ns, actions, () => this.redraw());
    this.list.openDetail(number, content);
  }

  /** Go to #span-<id> or #row-<number>. Whether there is such a thing. */
  private async followHash(): Promise<boolean> {
    const [, kind, text] = /^#(span|row)-([0-9a-f]+)$/.exec(location.hash) ?? [];
    if (!kind || !text) return false;
    const rows = kind === "row" ? [Number.parseInt(text, 10)] : await this.search(`q=${text}`);
    const row = rows?.[0];
    if (row === undefined || row >= this.rows.total) return false;
    this.root.scrollIntoView({ block: "start" });
    this.activate(row, { centred: true });
    this.view.focus({ preventScroll: true });
    if (!this.list.isOpen(row)) await this.toggle(row);
    return true;
  }

  // ------------------------------------------------------------------ finding

  private async search(query: string): Promise<number[] | undefined> {
    try {
      const url = `${this.root.dataset.waterfall}/search?${query}`;
      const { rows } = await fetchJson<{ rows: number[]; more: boolean }>(url);
      this.say("");
      return rows;
    } catch (error) {
      if (!(error instanceof NotLoaded)) throw error;
      this.say(`The search failed. ${error.message}`);
      return undefined;
    }
  }

  private async find(text: string): Promise<void> {
    const count = part(this.root, "found");
    const wanted = text.trim();
    this.found = wanted ? ((await this.search(`q=${encodeURIComponent(wanted)}`)) ?? []) : [];
    this.state.found = new Set(this.found);
    count.textContent = wanted ? `${this.found.length} found` : "";
    this.redraw();
    if (this.found.length > 0) {
      const first = this.found.find((row) => row >= this.state.active) ?? this.found[0]!;
      this.activate(first, { centred: true });
    }
  }

  // ------------------------------------------------------------------ time

  private zoomTo(from: number, to: number): void {
    const { to: end } = this.whole;
    const margin = Math.max(1, (to - from) * 0.05);
    this.setExtent({ from: Math.max(0, from - margin), to: Math.min(end, to + margin) });
  }

  private setExtent(extent: Extent): void {
    this.state.extent = extent;
    const { from, to } = this.whole;
    part(this.root, "fit").hidden = extent.from === from && extent.to === to;
    this.fillAxis();
    this.redraw();
  }

  private fillAxis(): void {
    const { from, to } = this.state.extent;
    const labels = TICKS.map((tick) => {
      const label = make("span", "wf-tick", {}, durationText(from + ((to - from) * tick) / 100));
      label.style.left = `${tick}%`;
      return label;
    });
    part(this.root, "axis").replaceChildren(...labels);
  }

  private listenToAxis(): void {
    const axis = part(this.root, "axis");
    let startX = 0;
    let mark: HTMLElement | undefined;
    const timeAt = (x: number) => {
      const box = axis.getBoundingClientRect();
      const share = Math.min(Math.max((x - box.left) / box.width, 0), 1);
      const { from, to } = this.state.extent;
      return from + (to - from) * share;
    };
    axis.addEventListener("pointerdown", (event) => {
      startX = event.clientX;
      mark = make("span", "wf-selection");
      axis.append(mark);
      axis.setPointerCapture(event.pointerId);
    });
    axis.addEventListener("pointermove", (event) => {
      if (!mark) return;
      const { left } = axis.getBoundingClientRect();
      mark.style.left = `${Math.min(startX, event.clientX) - left}px`;
      mark.style.width = `${Math.abs(event.clientX - startX)}px`;
    });
    const end = (event: PointerEvent) => {
      if (!mark) return;
      mark.remove();
      mark = undefined;
      if (event.type !== "pointerup" || Math.abs(event.clientX - startX) < DRAG_MIN_PX) return;
      const times = [timeAt(startX), timeAt(event.clientX)].sort((a, b) => a - b) as [number, number];
      this.setExtent({ from: times[0], to: Math.max(times[1], times[0] + 1) });
    };
    axis.addEventListener("pointerup", end);
    axis.addEventListener("pointercancel", end);
    axis.addEventListener("dblclick", () => this.setExtent(this.whole));
  }

  // ------------------------------------------------------------------ around the list

  private fillLegend(): void {
    const { services } = this.rows.trace;
    const items = services.slice(0, SERVICES_MAX).map((service, index) => {
      const name = service.name || "unknown service";
      const count = make("span", "number", {}, service.span_count.toLocaleString("en"));
      return make("span", "legend-item", {}, make("span", `service-dot service-${index % HUES}`), `${name} `, count);
    });
    if (services.length > SERVICES_MAX) {
      items.push(make("span", "muted", {}, `and ${services.length - SERVICES_MAX} more services`));
    }
    part(this.root, "legend").replaceChildren(...items);
  }

  private listen(): void {
    this.view.addEventListener("keydown", (event) => this.key(event));
    this.view.addEventListener("click", (event) => this.click(event));
    this.listenToAxis();
    const form = part(this.root, "search") as HTMLFormElement;
    const field = form.querySelector("input")!;
    let asked = "";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value === asked) this.next(this.found, 1);
      else void this.find((asked = field.value));
    });
    field.addEventListener("search", () => {
      if (field.value === "" && asked) void this.find((asked = ""));
    });
    this.button("next", () => this.next(this.found, 1));
    this.button("previous", () => this.next(this.found, -1));
    this.button("errors", () => void this.nextError(1));
    this.button("rule", () => this.next(this.ruleRows(), 1));
    this.button("fit", () => {
      this.setExtent(this.whole);
      this.view.focus({ preventScroll: true });
    });
    this.button("path", (button) => {
      this.state.showPath = !this.state.showPath;
      button.setAttribute("aria-pressed", String(this.state.showPath));
      this.redraw();
    });
  }

  private button(name: string, act: (button: HTMLElement) => void): void {
    const button = part(this.root, name);
    button.addEventListener("click", () => act(button));
  }

  private click(event: MouseEvent): void {
    const target = event.target as Element;
    const element = target.closest<HTMLElement>(".wf-row");
    if (!element) return;
    const row = Number(element.dataset.row);
    this.activate(row);
    if (target.closest(".wf-twist")) this.fold(row);
    else void this.toggle(row);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.view) return;
    const act = this.keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  private readonly keys: Record<string, () => void> = {
    ArrowDown: () => this.step(1),
    ArrowUp: () => this.step(-1),
    j: () => this.step(1),
    k: () => this.step(-1),
    PageDown: () => this.step(this.list.pageSize),
    PageUp: () => this.step(-this.list.pageSize),
    Home: () => this.activate(0),
    End: () => this.activate(this.folds.rowAt(this.folds.seenCount - 1)),
    ArrowRight: () => this.inward(),
    ArrowLeft: () => this.outward(),
    Enter: () => void this.toggle(this.state.active),
    " ": () => void this.toggle(this.state.active),
    Escape: () => this.list.closeDetail(this.state.active),
    n: () => this.next(this.found, 1),
    N: () => this.next(this.found, -1),
    e: () => void this.nextError(1),
    E: () => void this.nextError(-1),
    m: () => this.next(this.ruleRows(), 1),
    M: () => this.next(this.ruleRows(), -1),
    z: () => this.zoomToActive(),
    "0": () => this.setExtent(this.whole),
  };

  private zoomToActive(): void {
    const row = this.rows.get(this.state.active);
    if (row) this.zoomTo(row.startNs, row.startNs + Math.max(0, row.durationNs));
  }
}

/** The last of ascending numbers below one. */
function last(numbers: number[], below: number): number | undefined {
  return [...numbers].reverse().find((number) => number < below);
}
