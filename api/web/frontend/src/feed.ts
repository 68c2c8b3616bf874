// The live list of signals. htmx keeps the event stream and puts new rows on top; this file decides
// what else a message means: a known row is changed, a paused list counts, a broken connection is
// shown, and whatever was missed meanwhile is fetched as a whole page, so nothing is lost. Nodes that
// stay the same are kept: a click that is under way finds its link, and the focus stays.
import type htmxType from "htmx.org";
import { Idiomorph } from "idiomorph/htmx";

const ROWS_MAX = 200;

/** A connection that comes back at once is not worth a word. */
const LOST_AFTER_MS = 2000;

type State = "connecting" | "live" | "paused" | "lost";

const LABELS: Record<State, string> = {
  connecting: "Connecting…",
  live: "Live",
  paused: "Paused",
  lost: "Reconnecting…",
};

/** Watch the page's list, if it has one; htmx may replace the list at any time. */
export function startFeed(htmx: typeof htmxType): void {
  let paused = false;
  let waiting = 0;
  let missed = false;
  let losing = 0;
  let untold = 0;

  const feed = () => document.querySelector<HTMLElement>("[data-feed]");
  const bar = () => document.querySelector<HTMLElement>("[data-live]");

  function show(state: State): void {
    const live = bar();
    if (!live) return;
    live.hidden = false;
    live.dataset.state = state;
    const label = live.querySelector("[data-live-label]");
    const text = state === "paused" && waiting > 0 ? `Paused · ${waiting} new` : LABELS[state];
    if (label && label.textContent !== text) label.textContent = text;
    const button = live.querySelector<HTMLElement>("[data-live-toggle]");
    button?.setAttribute("aria-pressed", String(paused));
    for (const face of live.querySelectorAll<HTMLElement>("[data-when]")) {
      face.hidden = face.dataset.when !== (paused ? "paused" : "running");
    }
  }

  function reload(): void {
    missed = false;
    waiting = 0;
    untold = 0;
    void htmx.ajax("get", window.location.href, {
      target: "[data-feed]",
      select: "[data-feed]",
      swap: "morph",
    } as never);
  }

  /** Many came at once, and the list has only the last of them. */
  function tellOfMore(count: number): void {
    untold += count;
    const note = document.querySelector<HTMLElement>("[data-more]");
    const text = note?.querySelector("[data-more-text]");
    if (!note || !text) return;
    text.textContent = `${untold.toLocaleString()} more came at once and are not in this list.`;
    note.hidden = false;
  }

  function toggle(): void {
    paused = !paused;
    if (!paused && waiting > 0) reload();
    show(paused ? "paused" : "live");
  }

  function receive(event: Event): void {
    const message = (event as CustomEvent<MessageEvent<string>>).detail;
    const more = message.type === "more" ? countOf(message.data) : 0;
    if (paused) {
      event.preventDefault();
      waiting += more || 1;
      show("paused");
      return;
    }
    if (message.type === "more") {
      event.preventDefault();
      tellOfMore(more);
      return;
    }
    const id = rowId(message.data);
    const known = id ? document.getElementById(id) : null;
    if (message.type === "gone") {
      event.preventDefault();
      known?.remove();
    } else if (message.type === "reload") {
      event.preventDefault();
      reload();
    } else if (known) {
      event.preventDefault();
      const picked = known.querySelector<HTMLInputElement>("[data-pick]")?.checked ?? false;
      Idiomorph.morph(known, message.data);
      const box = document.getElementById(id)?.querySelector<HTMLInputElement>("[data-pick]");
      if (box && picked) box.checked = true;
    } else if (document.querySelector("[data-no-rows]")) {
      event.preventDefault();
      reload();
    }
  }

  document.addEventListener("htmx:sseBeforeMessage", receive);
  document.addEventListener("htmx:sseMessage", () => {
    const rows = document.querySelector("[data-rows]");
    while (rows && rows.children.length > ROWS_MAX) rows.lastElementChild?.remove();
  });
  document.addEventListener("htmx:sseOpen", () => {
    window.clearTimeout(losing);
    show(paused ? "paused" : "live");
    if (missed) reload();
  });
  document.addEventListener("htmx:sseError", (event) => {
    const { source } = (event as CustomEvent<{ source: EventSource }>).detail;
    // The browser reconnects by itself and says what it saw last; a new source would not know.
    if (source.readyState === EventSource.CLOSED) missed = true;
    window.clearTimeout(losing);
    losing = window.setTimeout(() => show("lost"), LOST_AFTER_MS);
  });
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest("[data-live-toggle]")) toggle();
  });
  document.addEventListener("keydown", (event) => {
    const typing = (event.target as Element).closest("input, textarea, select");
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "p" && plain && !typing && feed()?.hasAttribute("sse-connect")) toggle();
  });
  if (feed()?.hasAttribute("sse-connect")) show("connecting");
}

function countOf(data: string): number {
  return (JSON.parse(data) as { count: number }).count;
}

/** The element id of the row a message is about: its data is one <li>. */
function rowId(html: string): string {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild?.id ?? "";
}
