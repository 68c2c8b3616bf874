// Completion: what may be written next, asked from the server; while only the word grows, the
// answers at hand are filtered.
import {
  pickedCompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from "@codemirror/autocomplete";
import type { EditorView } from "@codemirror/view";
import { charactersBefore, unitsIn, type Offer, type Server } from "./server";
import { told } from "./told";

const WORD = /^[\w.]*$/;
const OPENS = /[.({"]\s?$|[{(] $/;
const BEST = 99;

/** The source of completions. */
export function offersOf(server: Server) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const doc = context.state.doc;
    const before = doc.sliceString(doc.lineAt(context.pos).from, context.pos);
    if (!context.explicit && !/[\w]$/.test(before) && !OPENS.test(before)) return null;
    const text = doc.toString();
    const { items } = await server
      .completions(text, charactersBefore(text, context.pos))
      .catch(() => ({ items: [] as Offer[] }));
    const first = items[0];
    if (!first || context.aborted) return null;
    const units = unitsIn(text);
    const from = units(first.start);
    const behind = units(first.end) - context.pos; // of the word, behind the cursor
    const plain = text[from] !== '"';
    return {
      from,
      options: items.map((item, number) => optionOf(item, number, behind)),
      filter: plain,
      ...(plain ? { validFor: WORD } : {}),
    };
  };
}

function optionOf(item: Offer, number: number, behind: number): Completion {
  return {
    label: item.label,
    detail: item.detail || item.kind,
    type: item.kind,
    boost: Math.max(BEST - number, -BEST),
    ...(item.documentation ? { info: () => told(item.documentation) } : {}),
    apply: (view: EditorView, completion, from, to) => {
      const caret = from + unitsIn(item.insert)(item.caret);
      view.dispatch({
        changes: { from, to: Math.min(to + Math.max(behind, 0), view.state.doc.length), insert: item.insert },
        selection: { anchor: caret },
        userEvent: "input.complete",
        annotations: pickedCompletion.of(completion),
      });
    },
  };
}
