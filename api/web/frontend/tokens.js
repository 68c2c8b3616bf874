// Colour tokens of the console, from the Radix colour scales (steps 1-12, made in pairs for light
// and dark so that step 11 and 12 are readable on steps 1-3). Every token is one light-dark() value:
// the page follows the system, and `data-theme` on <html> overrides it through `color-scheme`.
import * as radix from "@radix-ui/colors";

/** Scale steps that keep their own name: --slate-1 … --slate-12 and so on. */
const scales = ["slate", "indigo", "red", "orange", "amber", "green", "sky"];

/** Hues of services in the waterfall, told apart by order of first appearance in a trace. */
const services = ["indigo", "teal", "plum", "orange", "cyan", "grass", "pink", "bronze", "blue", "ruby"];

function pair(scale, step) {
  return `light-dark(${radix[scale][scale + step]}, ${radix[`${scale}Dark`][scale + step]})`;
}

/** The style sheet text that defines all tokens on :root. */
export function tokens() {
  const steps = Array.from({ length: 12 }, (_, i) => i + 1);
  const lines = [
    ...scales.flatMap((scale) => steps.map((step) => `--${scale}-${step}: ${pair(scale, step)};`)),
    ...services.map((scale, i) => `--service-${i}: ${pair(scale, 9)};`),
  ];
  return `:root {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;
}
