// One span in full, fetched when its row is opened.
import { durationText } from "./durations";
import { icon, make } from "./elements";
import { FAILED, fetchJson, NotLoaded, ORPHAN, type Ghost, type Row } from "./rows";

interface Span {
  span_id: string;
  parent_span_id: string | null;
  name: string;
  service: string;
  kind: string;
  status: string;
  status_message: string;
  start_ns: number;
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
  scope: Record<string, unknown>;
  events: { name: string; time_ns: number; attributes: Record<string, unknown> }[];
  links: { trace_id: string; span_id: string; attributes: Record<string, unknown> }[];
  dropped_attributes_count: number;
}

const SHOWN_MAX = 100;

/** What buttons in a detail do. */
export interface DetailActions {
  close: () => void;
  zoom: () => void;
}

/** An element that fills itself with the span of a row. resized: called when it has. */
export function spanDetail(
  url: string,
  row: Row,
  traceStartNs: number,
  actions: DetailActions,
  resized: () => void,
): HTMLElement {
  const box = make("div", "span-detail");
  box.append(make("p", "muted", { role: "status" }, "Loading the span…"));
  fetchJson<Span>(`${url}/${row.ordinal}`)
    .then((span) => box.replaceChildren(...parts(span, row, traceStartNs, actions)))
    .catch((error: unknown) => {
      if (!(error instanceof NotLoaded)) throw error;
      box.replaceChildren(make("p", "", { role: "alert" }, error.message), buttons(actions));
    })
    .finally(resized);
  return box;
}

/** What is said of a row that no span fills. */
export function ghostDetail(ghost: Ghost, actions: DetailActions): HTMLElement {
  const when = `${durationText(ghost.from_ns)} to ${durationText(ghost.to_ns)}`;
  return make(
    "div",
    "span-detail",
    {},
    section("Missing span", {
      clause: ghost.clause,
      wanted: ghost.text,
      "could have been": `${when} after the trace began`,
    }),
    make(
      "p",
      "muted",
      {},
      "No span of this trace fulfils this condition. The place and the time are what the rule's " +
        "relations allow, or those of the span that came nearest.",
    ),
    buttons(actions),
  );
}

function parts(span: Span, row: Row, traceStartNs: number, actions: DetailActions): HTMLElement[] {
  const startNs = traceStartNs + row.startNs;
  const status = span.status_message ? `${span.status}: ${span.status_message}` : span.status;
  const facts: Record<string, unknown> = {
    service: span.service || "unknown service",
    "span id": span.span_id,
    kind: span.kind,
    status,
    start: `${instant(startNs)} (+${durationText(row.startNs)})`,
    duration: durationText(row.durationNs),
  };
  if (row.flags & ORPHAN) facts.parent = `${span.parent_span_id ?? ""} did not come`;
  if (row.critical.length > 0) {
    const ns = row.critical.reduce((sum, [from, to]) => sum + to - from, 0);
    facts["critical path"] = durationText(ns);
  }
  if (row.flags & FAILED && !span.status_message) facts.status = "error";
  const made = [buttons(actions, span), section("Span", facts)];
  if (hasAny(span.attributes)) made.push(section("Attributes", span.attributes));
  if (span.dropped_attributes_count > 0) {
    made.push(make("p", "muted", {}, `${span.dropped_attributes_count} attributes were dropped.`));
  }
  for (const event of span.events.slice(0, SHOWN_MAX)) {
    const after = durationText(Math.max(0, event.time_ns - traceStartNs));
    made.push(section(`Event ${event.name} at +${after}`, event.attributes));
  }
  if (span.events.length > SHOWN_MAX) made.push(rest(span.events.length - SHOWN_MAX, "events"));
  for (const link of span.links.slice(0, SHOWN_MAX)) made.push(linkSection(link));
  if (span.links.length > SHOWN_MAX) made.push(rest(span.links.length - SHOWN_MAX, "links"));
  if (hasAny(span.resource)) made.push(section("Resource", span.resource));
  if (hasAny(span.scope)) made.push(section("Scope", span.scope));
  return made;
}

function buttons(actions: DetailActions, span?: Span): HTMLElement {
  const bar = make("div", "span-detail-actions");
  const zoom = make("button", "button button-small", { type: "button" }, icon("zoom-in"), "Zoom");
  zoom.addEventListener("click", actions.zoom);
  bar.append(zoom);
  if (span) {
    const text = JSON.stringify(span, null, 2);
    bar.append(copyButton("Copy as JSON", text));
    const here = `${location.origin}${location.pathname}#span-${span.span_id}`;
    bar.append(copyButton("Copy link", here));
  }
  const close = make("button", "button button-small", { type: "button" }, icon("x"), "Close");
  close.addEventListener("click", actions.close);
  bar.append(close);
  return bar;
}

function copyButton(label: string, text: string): HTMLElement {
  const attributes = { type: "button", "data-copy": text };
  return make("button", "button button-small", attributes, icon("copy"), label);
}

function rest(count: number, what: string): HTMLElement {
  return make("p", "muted", {}, `${count} more ${what} are not shown; copy the span as JSON.`);
}

function linkSection(link: Span["links"][number]): HTMLElement {
  const made = section("Link", { "span id": link.span_id, ...link.attributes });
  const list = made.querySelector("dl");
  const anchor = make(
    "a",
    "",
    { href: `/traces/${link.trace_id}#span-${link.span_id}` },
    link.trace_id,
  );
  list?.prepend(make("dt", "", {}, "trace"), make("dd", "", {}, anchor));
  return made;
}

function section(title: string, values: Record<string, unknown>): HTMLElement {
  const list = make("dl", "attributes");
  for (const key of Object.keys(values)) {
    list.append(make("dt", "", {}, key), make("dd", "", {}, valueText(values[key])));
  }
  return make("section", "", {}, make("h3", "", {}, title), list);
}

function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function hasAny(values: Record<string, unknown>): boolean {
  return Object.keys(values).length > 0;
}

function instant(ns: number): string {
  return new Date(ns / 1e6).toISOString().replace("T", " ").replace("Z", " UTC");
}
