// Buttons with data-copy put that text on the clipboard and say so.

/** Listen for clicks on copy buttons. */
export function startCopying(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
    if (!button) return;
    void navigator.clipboard.writeText(button.dataset.copy ?? "").then(() => {
      const status = document.querySelector("[data-announce]");
      if (status) status.textContent = "Copied";
      button.title = "Copied";
    });
  });
}
