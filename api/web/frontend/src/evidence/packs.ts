// A pack that is dropped on the page is verified here: no byte of it leaves the browser.
import { type Finding, type Result, verify } from "../verify/verify.js";
import { headline, made, trouble } from "./report";

/** Listen to the drop zone, where the page has one. */
export function startPacks(): void {
  const zone = document.querySelector<HTMLElement>("[data-drop-pack]");
  const field = document.querySelector<HTMLInputElement>("[data-pack-file]");
  const out = document.querySelector<HTMLElement>("[data-pack-result]");
  if (!zone || !field || !out) return;
  field.disabled = false;
  field.addEventListener("change", () => {
    const file = field.files?.[0];
    if (file) void show(file, out);
    field.value = "";
  });
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.dataset.over = "";
  });
  zone.addEventListener("dragleave", () => delete zone.dataset.over);
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    delete zone.dataset.over;
    const file = event.dataTransfer?.files[0];
    if (file) void show(file, out);
  });
}

async function show(file: File, out: HTMLElement): Promise<void> {
  out.setAttribute("aria-busy", "true");
  out.replaceChildren(made("p", "muted", `Verifying ${file.name}…`));
  try {
    const result = await verify(file, await asked());
    out.replaceChildren(...report(file, result));
  } catch (error) {
    out.replaceChildren(headline("warn", trouble(error)));
  } finally {
    out.removeAttribute("aria-busy");
  }
}

async function asked(): Promise<{ keys: string[]; checkpoint?: Uint8Array }> {
  const written = document.querySelector<HTMLTextAreaElement>("[data-pack-keys]")?.value ?? "";
  const keys = written.split(/\s+/).filter(Boolean);
  const seen = document.querySelector<HTMLInputElement>("[data-pack-checkpoint]")?.files?.[0];
  if (!seen) return { keys };
  return { keys, checkpoint: new Uint8Array(await seen.arrayBuffer()) };
}

function report(file: File, result: Result): HTMLElement[] {
  const told = result.valid
    ? `${file.name} is valid: nothing in it was changed, and nothing of its range is missing.`
    : `${file.name} is not valid.`;
  return [
    headline(result.valid ? "good" : "bad", told),
    ...findings("What is wrong", result.failures),
    ...findings("What to know", result.warnings),
    ...facts(result),
  ];
}

function findings(title: string, rows: Finding[]): HTMLElement[] {
  if (!rows.length) return [];
  const list = made("ul", "rows verify-steps");
  for (const one of rows) {
    const times = one.times > 1 ? ` (${one.times.toLocaleString("en")} times)` : "";
    const about = made("div", "", made("p", "", `${one.what}${times}`));
    about.append(made("p", "muted mono wraps", one.where.join(", ")));
    list.append(made("li", "verify-step", made("span", "chip mono", one.code), about));
  }
  return [made("h2", "verify-title", title), list];
}

function facts(result: Result): HTMLElement[] {
  const { population, range, newest, sealed_ms: sealedMs } = result;
  if (!population || !range) return [];
  const rows: [string, string][] = [
    ["Log", result.origin ?? ""],
    ["Records asked for", count(population.records)],
    ["Others shown", count(population.others)],
    ["Withheld", count(population.withheld)],
    ["Range of the log", `${count(range.first)} to ${count(range.end)}`],
    ["Checkpoints", count(result.checkpoints ?? 0)],
    ["Newest checkpoint", newest ? `${count(newest.size)} records, root ${newest.root}` : "none"],
    ["Sealed at", sealedMs ? new Date(sealedMs).toISOString() : "not known"],
    ["Keys", (result.keys ?? []).join(" ")],
  ];
  const list = made("dl", "verify-facts");
  for (const [label, text] of rows) {
    list.append(made("dt", "", label), made("dd", "wraps", text));
  }
  return [
    made("h2", "verify-title", "What it is of"),
    list,
    ...counts("By control", population.by_control),
    ...counts("By verdict", population.by_verdict),
    ...counts("By kind", population.by_kind),
  ];
}

function counts(title: string, by: Record<string, number>): HTMLElement[] {
  const names = Object.keys(by).sort();
  if (!names.length) return [];
  const list = made("dl", "verify-facts");
  for (const name of names) {
    const number = made("dd", "number", count(by[name] ?? 0));
    list.append(made("dt", "mono", name), number);
  }
  return [made("h3", "verify-title", title), list];
}

function count(number: number): string {
  return number.toLocaleString("en");
}
