// The playground beside the text: fields that do not matter are hidden, and the draft is tried by
// itself whenever it checks and has changed since.
const ALONG_MS = 600;

/** Watch the playground of the page, if it has one. */
export function startPlayground(): void {
  const on = document.querySelector<HTMLSelectElement>("[data-play-on]");
  const form = on?.form;
  if (!on || !form) return;
  const along = form.querySelector<HTMLElement>("[data-try-along]");
  const live = form.querySelector<HTMLInputElement>("[data-try-live]");
  if (along) along.hidden = false;
  let tried = "";
  let timer: number | undefined;

  const show = () => {
    for (const field of form.querySelectorAll<HTMLElement>("[data-play-of]")) {
      field.hidden = field.dataset.playOf !== on.value;
    }
  };
  const settle = () => {
    const now = wanted(form);
    if (!live?.checked || now === tried || !ready(form)) return;
    tried = now;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => form.dispatchEvent(new CustomEvent("rule-settled")), ALONG_MS);
  };

  show();
  if (form.querySelector("[data-tried]")) tried = wanted(form);
  on.addEventListener("change", () => {
    show();
    settle();
  });
  form.addEventListener("text-settled", settle);
  form.addEventListener("change", (event) => {
    if ((event.target as Element).closest("[data-play-of]") || event.target === live) settle();
  });
  form.addEventListener("htmx:beforeRequest", () => {
    tried = wanted(form);
  });
  form.addEventListener("htmx:afterSwap", () => announce(form));
  document.addEventListener("htmx:afterSwap", (event) => {
    if ((event as CustomEvent<{ target: Element }>).detail.target?.id === "tried") announce(form);
  });
  for (const name of ["htmx:responseError", "htmx:sendError"]) {
    form.addEventListener(name, (event) => {
      const { xhr } = (event as CustomEvent<{ xhr?: XMLHttpRequest }>).detail;
      refuse(xhr?.status ?? 0);
    });
  }
}

/** What would be tried, to be told from what was. */
function wanted(form: HTMLFormElement): string {
  const data = new FormData(form);
  const on = String(data.get("on"));
  return JSON.stringify([data.get("rule"), on, on === "recent" ? "" : data.get(on)]);
}

function ready(form: HTMLFormElement): boolean {
  const data = new FormData(form);
  const on = String(data.get("on"));
  return on === "recent" || String(data.get(on) ?? "").trim() !== "";
}

function announce(form: HTMLFormElement): void {
  const said = form.querySelector("[data-tried]")?.textContent;
  const status = document.querySelector("[data-announce]");
  if (said && status) status.textContent = said;
}

function refuse(code: number): void {
  const tried = document.getElementById("tried");
  if (!tried) return;
  const why =
    code === 429
      ? "This was tried very often within a minute. Wait a little, then press Try."
      : "The server did not answer. What you wrote is not lost: press Try again.";
  const line = document.createElement("p");
  line.className = "panel-body tried-problem";
  line.setAttribute("role", "alert");
  line.textContent = why;
  tried.replaceChildren(line);
}
