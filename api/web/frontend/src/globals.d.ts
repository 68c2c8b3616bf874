declare module "htmx-ext-sse";

declare module "idiomorph/htmx" {
  /** Changes an element into what some HTML says, keeping the nodes that are the same. */
  export const Idiomorph: { morph(old: Element, html: string): void };
}
