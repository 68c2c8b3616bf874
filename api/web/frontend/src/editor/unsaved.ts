// A form that was changed is not left by mistake.

/** Watch the form of the page, if it asks for that. */
export function startUnsaved(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-unsaved]");
  if (!form) return;
  const rule = () => JSON.stringify([...new FormData(form)].filter(([name]) => !IGNORED.has(name)));
  const before = rule();
  let leaving = false;
  form.addEventListener("submit", () => {
    leaving = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && rule() !== before) event.preventDefault();
  });
}

const IGNORED = new Set(["on", "one", "pasted", "csrf_token"]);
