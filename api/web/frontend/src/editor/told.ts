// The little Markdown of explanations as elements: paragraphs, `code` and **bold**.
import { make } from "../waterfall/elements";

/** An element with the paragraphs of a text. */
export function told(markdown: string): HTMLElement {
  const paragraphs = markdown
    .split("\n\n")
    .filter((one) => one.trim() !== "")
    .map((one) => make("p", "", {}, ...pieces(one)));
  return make("div", "cm-told", {}, ...paragraphs);
}

function pieces(text: string): (Node | string)[] {
  return text.split(/(\*\*.+?\*\*|`[^`]*`)/).map((piece) => {
    if (piece.startsWith("**") && piece.length > 4) {
      return make("strong", "", {}, ...pieces(piece.slice(2, -2)));
    }
    return piece.startsWith("`") && piece.length > 1 ? make("code", "", {}, piece.slice(1, -1)) : piece;
  });
}
