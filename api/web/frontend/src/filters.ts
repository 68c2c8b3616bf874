// Menus of filters stay open, and the list where it was scrolled to, while a choice in them is
// fetched: htmx replaces the bar together with the list.

/** Watch the bar of filters of the page. */
export function startFilters(): void {
  let open: string[] = [];
  document.addEventListener("htmx:beforeSwap", () => {
    const menus = document.querySelectorAll<HTMLDetailsElement>("details[data-keeps-open][open]");
    open = [...menus].map((menu) => menu.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) {
      const menu = document.getElementById(id);
      if (menu instanceof HTMLDetailsElement) menu.open = true;
    }
    open = [];
  });
}
