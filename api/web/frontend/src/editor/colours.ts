// Colours of words, by what the server says they are. Until it has looked at what is being typed,
// words keep the colours that move along with them.
import { StateEffect, StateField, type Range, type Text } from "@codemirror/state";
import { Decoration, EditorView, type DecorationSet } from "@codemirror/view";
import { unitsIn, type Marks } from "./server";

const setTokens = StateEffect.define<DecorationSet>();
const marks = new Map<string, Decoration>();

function markOf(kind: string): Decoration {
  let mark = marks.get(kind);
  if (!mark) {
    mark = Decoration.mark({ class: `t-${kind}` });
    marks.set(kind, mark);
  }
  return mark;
}

export const colours = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, transaction) {
    let now = shown.map(transaction.changes);
    for (const effect of transaction.effects) if (effect.is(setTokens)) now = effect.value;
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** Colour a text by its tokens. */
export function coloured(doc: Text, tokens: Marks["tokens"]) {
  const units = unitsIn(doc.toString());
  const ranges: Range<Decoration>[] = tokens.map(([start, end, kind]) =>
    markOf(kind).range(units(start), units(end)),
  );
  return setTokens.of(Decoration.set(ranges));
}
