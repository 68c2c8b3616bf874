// A <dialog open data-modal> of the page becomes a modal one: the rest of the page waits for it.
// Escape does not close it, since what it shows cannot be shown again; its own link does.

/** Open the page's dialogue, if it has one. */
export function startModals(): void {
  const dialog = document.querySelector<HTMLDialogElement>("dialog[data-modal]");
  if (!dialog) return;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.open = false;
  dialog.showModal();
}
