// The server writes times in UTC; this shows how long ago they were, kept current, with the local
// and the UTC time in the tooltip. Times marked data-exact stay as moments, in local time.

const STEPS: [limit: number, divisor: number, unit: string][] = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [30 * 86400, 86400, "d"],
];

/** Rewrite every <time datetime> now, every ten seconds, and whenever the page changes. */
export function startTimes(): void {
  rewrite(document);
  window.setInterval(() => rewrite(document), 10_000);
  document.addEventListener("htmx:load", (event) => rewrite(event.target as ParentNode));
}

function rewrite(root: ParentNode): void {
  const now = Date.now();
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[datetime]:not([data-exact])")) {
    const at = new Date(time.dateTime);
    const text = ago((now - at.getTime()) / 1000, at);
    if (time.textContent !== text) time.textContent = text;
    time.title = `${at.toLocaleString()} (${time.dateTime})`;
  }
}

function ago(seconds: number, at: Date): string {
  if (seconds < 5) return "just now";
  for (const [limit, divisor, unit] of STEPS) {
    if (seconds < limit) return `${Math.floor(seconds / divisor)} ${unit} ago`;
  }
  return at.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}
