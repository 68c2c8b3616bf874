// A textarea becomes an editor: CodeMirror in a shadow root beside it. The textarea stays the field
// of the form, hidden and kept up to date.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentUnit } from "@codemirror/language";
import { forEachDiagnostic, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, hoverTooltip, keymap, lineNumbers } from "@codemirror/view";
import { make } from "../waterfall/elements";
import { coloured, colours } from "./colours";
import { look } from "./look";
import { offersOf } from "./offers";
import { listProblems, sayUnchecked, write } from "./problems";
import { charactersBefore, Refused, Server, unitsIn, type Problem } from "./server";
import { told } from "./told";

const PAUSE_MS = 400;
const HOVER_MS = 400;

/** Put an editor in place of a field. */
export function startEditor(field: HTMLTextAreaElement): void {
  const form = field.form;
  const token = form?.querySelector<HTMLInputElement>("input[name=csrf_token]")?.value ?? "";
  const server = new Server(field.dataset.editor ?? "", token);
  const label = form?.querySelector<HTMLLabelElement>(`label[for="${field.id}"]`);
  const host = make("div", "editor");
  const root = host.attachShadow({ mode: "open" });
  const keys =
    "Tab leaves the editor, or takes what is offered while a list is open; Escape closes the list. " +
    "Control and Space offer what may come next, F8 goes to the next problem.";
  root.append(make("p", "", { id: "keys", hidden: "" }, keys));
  field.before(host);
  const watch = new Watch(field, server);
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: field.value,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        indentUnit.of("  "),
        EditorView.lineWrapping,
        colours,
        look,
        autocompletion({ override: [offersOf(server)], icons: false }),
        hoverTooltip((at, place) => explain(server, at, place), { hoverTime: HOVER_MS }),
        keymap.of([
          { key: "Tab", run: acceptCompletion }, // without a list it leads on: nobody is trapped
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...historyKeymap,
          ...completionKeymap,
          ...lintKeymap,
        ]),
        EditorView.contentAttributes.of({
          "aria-label": label?.textContent?.trim() ?? "Rule",
          "aria-describedby": "keys",
          autocapitalize: "off",
          spellcheck: "false",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) watch.changed(update.view);
        }),
      ],
    }),
  });
  field.hidden = true;
  field.required = false; // an empty hidden field could not be pointed at
  if (label) {
    label.removeAttribute("for");
    label.addEventListener("click", () => view.focus());
  }
  const hint = field.parentElement?.querySelector<HTMLElement>("[data-editor-hint]");
  if (hint) hint.hidden = false;
  void watch.look(view);
}

/** Follows a text: keeps the field up to date, and has the text looked at in every pause. */
class Watch {
  private timer: number | undefined;
  private readonly region: HTMLElement | null;

  constructor(
    private readonly field: HTMLTextAreaElement,
    private readonly server: Server,
  ) {
    this.region = document.getElementById("problems");
    this.region?.setAttribute("role", "status"); // said when there is time, not at every key
  }

  changed(view: EditorView): void {
    this.field.value = view.state.doc.toString();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look(view), PAUSE_MS);
  }

  async look(view: EditorView): Promise<void> {
    const { doc } = view.state;
    try {
      const marks = await this.server.marks(doc.toString());
      if (view.state.doc !== doc) return; // another look is on its way
      view.dispatch({ effects: coloured(doc, marks.tokens) });
      view.dispatch(setDiagnostics(view.state, diagnosticsOf(view, marks.problems)));
      this.say(view, marks.problems);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const region = document.getElementById("problems");
      if (region) sayUnchecked(region, error.message);
    }
  }

  private say(view: EditorView, problems: Problem[]): void {
    const wrong = problems.some((problem) => problem.level === "error");
    view.dom.classList.toggle("cm-invalid", wrong);
    view.contentDOM.setAttribute("aria-invalid", String(wrong));
    const region = document.getElementById("problems");
    if (region) listProblems(region, view, problems);
    if (!wrong) this.field.dispatchEvent(new CustomEvent("text-settled", { bubbles: true }));
  }
}

function diagnosticsOf(view: EditorView, problems: Problem[]): Diagnostic[] {
  const units = unitsIn(view.state.doc.toString());
  return problems.map((problem) => {
    const { fix } = problem;
    return {
      from: units(problem.start),
      to: units(problem.end),
      severity: problem.level,
      message: problem.hint ? `${problem.message}: ${problem.hint}` : problem.message,
      actions: fix ? [{ name: fix.title, apply: (editor: EditorView) => write(editor, fix) }] : [],
    };
  });
}

async function explain(server: Server, view: EditorView, place: number) {
  let marked = false; // what is wrong there is said by the problem itself
  forEachDiagnostic(view.state, (_, from, to) => {
    marked ||= from <= place && place <= to;
  });
  if (marked) return null;
  const text = view.state.doc.toString();
  const found = await server.hover(text, charactersBefore(text, place)).catch(() => undefined);
  if (!found?.markdown) return null;
  const units = unitsIn(text);
  return {
    pos: units(found.start),
    end: units(found.end),
    above: true,
    create: () => ({ dom: told(found.markdown) }),
  };
}
