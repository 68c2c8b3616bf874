// Buttons that put something on the clipboard and say so: data-copy that text, data-copy-here the
// page's address, data-copy-from the JSON of an address of this site.

/** Listen for clicks on copy buttons. */
export function startCopying(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>(
      "[data-copy], [data-copy-here], [data-copy-from]",
    );
    if (!button) return;
    void textOf(button)
      .then((text) => navigator.clipboard.writeText(text))
      .then(
        () => say(button, "Copied"),
        () => say(button, "Not copied: try again"),
      );
  });
}

async function textOf(button: HTMLElement): Promise<string> {
  const { copy, copyFrom } = button.dataset;
  if (copy !== undefined) return copy;
  if (copyFrom === undefined) {
    const { origin, pathname, hash } = window.location;
    return origin + pathname + hash;
  }
  const answer = await fetch(copyFrom, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${copyFrom} answers ${answer.status}`);
  return JSON.stringify(await answer.json(), null, 2);
}

function say(button: HTMLElement, text: string): void {
  const status = document.querySelector("[data-announce]");
  if (status) status.textContent = text;
  button.title = text;
}
