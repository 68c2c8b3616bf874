// Lists whose rows can be chosen: one box chooses all of the page, and how many are is told.

/** Watch the lists of the page. */
export function startChoosing(): void {
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-select-of]")) watch(form);
}

function watch(form: HTMLFormElement): void {
  const label = form.querySelector<HTMLElement>("[data-select-all]");
  const all = label?.querySelector<HTMLInputElement>("input");
  const told = form.querySelector("[data-selected]");
  const boxes = () => [
    ...form.querySelectorAll<HTMLInputElement>(`input[name="${form.dataset.selectOf}"]`),
  ];
  if (!label || !all) return;
  label.hidden = false;
  const tell = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
    if (told) told.textContent = chosen ? `${chosen} chosen` : "";
  };
  form.addEventListener("change", (event) => {
    if (event.target === all) for (const box of boxes()) box.checked = all.checked;
    tell();
  });
  tell();
}
