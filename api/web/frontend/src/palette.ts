// The command palette: Ctrl+K or Cmd+K opens a dialogue with a combobox (WAI-ARIA, "editable
// combobox with list autocomplete"). The server says what fits; focus stays in the field, arrow
// keys choose, Enter follows the chosen link.

const WAIT_MS = 120;

/** Listen for the keys and the button that open the palette, if the page has one. */
export function startPalette(): void {
  const dialog = document.querySelector<HTMLDialogElement>("#palette");
  const field = dialog?.querySelector<HTMLInputElement>("[role=combobox]");
  const list = dialog?.querySelector<HTMLElement>("[role=listbox]");
  const state = dialog?.querySelector<HTMLElement>("[data-part=state]");
  if (!dialog || !field || !list || !state) return;
  const palette = new Palette(dialog, field, list, state);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    if (event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    palette.toggle();
  });
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest("[data-palette-open]")) {
      event.preventDefault();
      palette.open();
    }
  });
}

class Palette {
  private timer = 0;
  private asked: AbortController | undefined;

  constructor(
    private readonly dialog: HTMLDialogElement,
    private readonly field: HTMLInputElement,
    private readonly list: HTMLElement,
    private readonly state: HTMLElement,
  ) {
    field.addEventListener("input", () => {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => void this.ask(), WAIT_MS);
    });
    field.addEventListener("keydown", (event) => this.press(event));
    list.addEventListener("mousemove", (event) => {
      const option = (event.target as Element).closest<HTMLElement>("[role=option]");
      if (option) this.choose(option);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => this.asked?.abort());
  }

  toggle(): void {
    if (this.dialog.open) this.dialog.close();
    else this.open();
  }

  open(): void {
    if (this.dialog.open || document.querySelector("dialog[open]")) return;
    this.field.value = "";
    this.dialog.showModal();
    this.field.focus();
    void this.ask();
  }

  private async ask(): Promise<void> {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    const url = `${this.dialog.dataset.palette ?? ""}?q=${encodeURIComponent(this.field.value)}`;
    try {
      const answer = await fetch(url, { headers: { "HX-Request": "true" }, signal: asked.signal });
      if (answer.headers.has("HX-Redirect")) window.location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      this.list.innerHTML = await answer.text();
      const [first] = this.options();
      this.choose(first);
      this.state.textContent = first ? "" : "Nothing fits. Try fewer words.";
    } catch (error) {
      if (asked.signal.aborted) return;
      this.list.replaceChildren();
      this.choose(undefined);
      this.state.textContent = "The server did not answer. Type again to ask once more.";
    }
  }

  private press(event: KeyboardEvent): void {
    const options = this.options();
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1 };
    const next = steps[event.key];
    if (next !== undefined && options.length > 0) {
      event.preventDefault();
      this.choose(options[(next + options.length) % options.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      options[at]?.click();
    }
  }

  private options(): HTMLElement[] {
    return [...this.list.querySelectorAll<HTMLElement>("[role=option]")];
  }

  private choose(chosen: HTMLElement | undefined): void {
    for (const option of this.options()) {
      option.setAttribute("aria-selected", String(option === chosen));
    }
    if (chosen) {
      this.field.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else this.field.removeAttribute("aria-activedescendant");
    this.field.setAttribute("aria-expanded", String(chosen !== undefined));
  }
}
