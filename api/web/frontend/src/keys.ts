// Keys: j and k walk the rows of a list, Enter opens the row (it is a link), / goes to the first
// filter, x chooses the row, g then h, s, t or r goes to a page, u goes up, ? lists the keys.

/** Listen for keys anywhere but in fields. */
export function startKeys(): void {
  let leader = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.target as Element).closest("input, textarea, select, dialog, .editor")) return;
    const key = leader + event.key;
    leader = event.key === "g" ? "g" : "";
    const act = actions[key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest("[data-help-open]")) openHelp();
  });
}

const actions: Record<string, () => void> = {
  j: () => walk(1),
  k: () => walk(-1),
  "/": () => document.querySelector<HTMLElement>("[data-first-filter]")?.focus(),
  u: () => document.querySelector<HTMLElement>("[data-up]")?.click(),
  x: pick,
  gh: () => follow("home"),
  gs: () => follow("signals"),
  gt: () => follow("traces"),
  gr: () => follow("rules"),
  "?": openHelp,
};

function walk(step: number): void {
  const links = [...document.querySelectorAll<HTMLElement>("[data-row-link]")];
  if (links.length === 0) return;
  const at = links.findIndex((link) => link === document.activeElement);
  const next = at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next]?.focus();
  links[next]?.scrollIntoView({ block: "nearest" });
}

function pick(): void {
  const row = document.activeElement?.closest("li");
  row?.querySelector<HTMLInputElement>("[data-pick]")?.click();
}

function follow(name: string): void {
  document.querySelector<HTMLElement>(`[data-nav="${name}"]`)?.click();
}

function openHelp(): void {
  const help = document.querySelector<HTMLDialogElement>("#help");
  if (help && !help.open) help.showModal();
}
