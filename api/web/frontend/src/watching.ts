// The page of a signal does not change under its reader's hands: when somebody or the engine has
// changed the signal, a line on top says so and leads to the new state.

/** Watch the signal of the page, if it shows one. */
export function startWatching(): void {
  const notice = document.querySelector<HTMLElement>("[data-watch]");
  if (!notice) return;
  const { watch } = notice.dataset;
  const source = new EventSource(`/live/signals?shown=all&after=${notice.dataset.after ?? ""}`);
  const look = (event: MessageEvent<string>) => {
    if (event.data.includes(`id="signal-${watch}"`)) notice.hidden = false;
  };
  for (const name of ["signal", "gone"]) source.addEventListener(name, look);
  source.addEventListener("reload", () => {
    notice.hidden = false;
  });
  window.addEventListener("pagehide", () => source.close());
}
