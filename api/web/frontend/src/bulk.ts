// Choosing rows to change together: how many are chosen, and all of the page at once. The form works
// without this file.

/** Watch the boxes of rows anywhere on the page. */
export function startBulk(): void {
  document.addEventListener("change", (event) => {
    const box = event.target as HTMLElement;
    if (box.matches("[data-pick-all]")) {
      for (const each of boxes()) each.checked = (box as HTMLInputElement).checked;
    }
    if (box.matches("[data-pick], [data-pick-all]")) show();
  });
  document.addEventListener("htmx:afterSettle", show);
  show();
}

function boxes(): HTMLInputElement[] {
  return [...document.querySelectorAll<HTMLInputElement>("[data-pick]")].filter(
    (box) => box.offsetParent !== null,
  );
}

function show(): void {
  const bar = document.querySelector<HTMLElement>("[data-bulk]");
  if (!bar) return;
  const all = boxes();
  const picked = all.filter((box) => box.checked).length;
  bar.dataset.some = String(picked > 0);
  const told = bar.querySelector("[data-picked]");
  const text = picked > 0 ? ` · ${picked} chosen` : "";
  if (told && told.textContent !== text) told.textContent = text;
  const every = bar.querySelector<HTMLInputElement>("[data-pick-all]");
  if (every) {
    every.checked = picked > 0 && picked === all.length;
    every.indeterminate = picked > 0 && picked < all.length;
  }
}
