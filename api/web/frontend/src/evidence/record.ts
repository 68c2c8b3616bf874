// "Verify in this browser" on a record's page.
import { type Material, verifyRecord } from "../verify/record.js";
import { headline, made, row, trouble } from "./report";

/** Listen for the button; without this script there is none. */
export function startRecord(): void {
  const button = document.querySelector<HTMLButtonElement>("[data-verify-record]");
  const out = document.querySelector<HTMLElement>("[data-verify-result]");
  if (!button || !out) return;
  button.hidden = false;
  button.addEventListener("click", () => void show(button, out));
}

async function show(button: HTMLButtonElement, out: HTMLElement): Promise<void> {
  button.disabled = true;
  out.setAttribute("aria-busy", "true");
  try {
    const material = JSON.parse(button.dataset.verifyRecord ?? "") as Material;
    const known = document.querySelector<HTMLInputElement>("[data-known-key]")?.value ?? "";
    const { valid, covered, steps } = await verifyRecord(material, { known });
    const list = made("ol", "rows verify-steps");
    list.append(...steps.map((one) => row(one.holds, one.what, one.detail)));
    out.replaceChildren(found(valid, covered), list);
  } catch (error) {
    out.replaceChildren(headline("warn", trouble(error)));
  } finally {
    button.disabled = false;
    out.removeAttribute("aria-busy");
  }
}

function found(valid: boolean, covered: boolean): HTMLElement {
  if (valid) return headline("good", "Valid: this browser followed the record to the signed root.");
  if (covered) return headline("bad", "Not valid: see what fails below.");
  return headline(
    "warn",
    "Unsigned: no checkpoint covers this record yet. Load the page again in a minute.",
  );
}
