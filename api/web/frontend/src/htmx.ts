// htmx, set up for the content security policy: no eval, no inline styles, no other host. The
// event-stream extension expects it as a global and is imported after this file.
import htmx from "htmx.org";

htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0;
htmx.config.refreshOnHistoryMiss = true;
(window as unknown as { htmx: typeof htmx }).htmx = htmx;

/** Filters that are not set stay out of the address. */
document.addEventListener("htmx:configRequest", (event) => {
  const { verb, formData } = (event as CustomEvent<{ verb: string; formData: FormData }>).detail;
  if (verb !== "get") return;
  for (const [name, value] of [...formData.entries()]) if (value === "") formData.delete(name);
});

export default htmx;
