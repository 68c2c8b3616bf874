// What is wrong, in text below the editor: the same words and look as the page has without a script,
// with buttons that go to the place and write what was meant.
import { make } from "../waterfall/elements";
import type { EditorView } from "@codemirror/view";
import { unitsIn, type Fix, type Problem } from "./server";

/** Show problems in a region of the page. */
export function listProblems(region: HTMLElement, view: EditorView, problems: Problem[]): void {
  region.replaceChildren(...problems.map((problem) => row(view, problem)));
}

/** Say in the region that the text could not be looked at. */
export function sayUnchecked(region: HTMLElement, why: string): void {
  const note = "What you write is not lost; it is looked at again when you go on.";
  region.replaceChildren(make("p", "problem-hint", {}, `Not checked just now. ${why} ${note}`));
}

function row(view: EditorView, problem: Problem): HTMLElement {
  const warning = problem.level === "warning" ? " problem-warning" : "";
  const buttons = [button(`Go to line ${problem.line}`, () => go(view, problem))];
  const { fix } = problem;
  if (fix) buttons.unshift(button(fix.title, () => write(view, fix)));
  return make(
    "div",
    `problem${warning}`,
    {},
    make("p", "problem-title", {}, problem.message),
    ...(problem.hint ? [make("p", "problem-hint", {}, problem.hint)] : []),
    make("p", "problem-code", {}, problem.code),
    make("p", "problem-actions", {}, ...buttons),
  );
}

function button(label: string, act: () => void): HTMLButtonElement {
  const made = make("button", "button button-small", { type: "button" }, label);
  made.addEventListener("click", act);
  return made;
}

function go(view: EditorView, problem: Problem): void {
  const units = unitsIn(view.state.doc.toString());
  view.dispatch({
    selection: { anchor: units(problem.start), head: units(problem.end) },
    scrollIntoView: true,
  });
  view.focus();
}

/** Put what was meant in place of a mistake. */
export function write(view: EditorView, fix: Fix): void {
  const units = unitsIn(view.state.doc.toString());
  view.dispatch({
    changes: { from: units(fix.start), to: units(fix.end), insert: fix.insert },
    userEvent: "input.fix",
  });
  view.focus();
}
