// Colour tokens of the console, from the Radix colour scales (steps 1-12, made in pairs for light
// and dark so that step 11 and 12 are readable on steps 1-3). Every token is one light-dark() value:
// the page follows the system, and `data-theme` on <html> overrides it through `color-scheme`.
import * as radix from "@radix-ui/colors";

/** Scale steps that keep their own name: --slate-1 … --slate-12 and so on. */
const scales = ["slate", "indigo", "red", "orange", "amber", "green", "sky"];

/**
 * Colours of services in the waterfall, [light, dark], told apart by order of first appearance in a
 * trace. Searched for so that any two differ to every eye, colour-blind ones among them, and each
 * stands out from the page: tests/colours.test.js measures both.
 */
export const services = [
  ["#308cf6", "#1779e1"],
  ["#a84811", "#feac9e"],
  ["#829821", "#cfef54"],
  ["#4c0787", "#a29dff"],
  ["#c6669f", "#bf4392"],
  ["#355b6a", "#46fbfb"],
  ["#652118", "#aa8f44"],
  ["#7b47bf", "#497032"],
];

function pair(scale, step) {
  return `light-dark(${radix[scale][scale + step]}, ${radix[`${scale}Dark`][scale + step]})`;
}

/** The style sheet text that defines all tokens on :root. */
export function tokens() {
  const steps = Array.from({ length: 12 }, (_, i) => i + 1);
  const lines = [
    ...scales.flatMap((scale) => steps.map((step) => `--${scale}-${step}: ${pair(scale, step)};`)),
    ...services.map(([light, dark], i) => `--service-${i}: light-dark(${light}, ${dark});`),
  ];
  return `:root {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;
}
