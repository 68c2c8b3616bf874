// What verifying found, as elements. Text is only ever set as text.

/** An element with a class and what stands in it. */
export function made(tag: string, name: string, ...content: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...content);
  return element;
}

/** The line that says how it ended, in the console's look. */
export function headline(tone: "good" | "bad" | "warn", text: string): HTMLElement {
  const line = made("p", `message message-${tone}`, text);
  line.setAttribute("role", tone === "bad" ? "alert" : "status");
  return line;
}

/** A row of what was looked at. */
export function row(holds: boolean, what: string, detail: string): HTMLElement {
  const mark = made("span", `chip ${holds ? "status-resolved" : "chip-bad"}`, holds ? "Holds" : "Fails");
  const told = made("div", "", made("p", "", what));
  if (detail) told.append(made("p", "muted mono wraps", detail));
  return made("li", "verify-step", mark, told);
}

/** What to say of an error that no pack or record is to blame for. */
export function trouble(error: unknown): string {
  if (error instanceof DOMException && error.name === "NotSupportedError") {
    return "This browser cannot check Ed25519 signatures. A newer one can, and so can `betrace evidence verify`.";
  }
  return `It could not be verified: ${error instanceof Error ? error.message : String(error)}`;
}
