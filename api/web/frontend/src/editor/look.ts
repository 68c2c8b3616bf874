// How the editor looks: by the tokens of the page, so that light and dark follow by themselves. It
// stands in a shadow root, whose style sheets the content security policy lets a script adopt.
import { EditorView } from "@codemirror/view";

const word = "light-dark(#7a2f9c, #d6a4f0)";
const text = "light-dark(#17603b, #7fd6a4)";
const number = "light-dark(#8a4b00, #f0bc72)";
const span = "light-dark(#1f4fb8, #9db9ff)";
const key = "light-dark(#0b6477, #7dd3e8)";
const bound = "light-dark(#a3242a, #ffa5a8)";

export const look = EditorView.theme({
  "&": {
    minHeight: "13.5em",
    maxHeight: "60vh",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--radius-small)",
    backgroundColor: "light-dark(#ffffff, var(--slate-1))",
    color: "var(--text)",
    fontSize: "0.93rem",
  },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  "&.cm-invalid": { borderColor: "var(--bad)" },
  ".cm-scroller": {
    fontFamily: "var(--mono)",
    lineHeight: "1.65",
    fontVariantLigatures: "none",
    overflow: "auto",
  },
  ".cm-content": { padding: "9px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 10px" },
  "&.cm-focused .cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": {
    backgroundColor: "transparent",
    color: "var(--muted)",
    border: "0",
    borderRight: "1px solid var(--line)",
  },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground":
    { backgroundColor: "light-dark(#d4dcff, #34406b)" },
  "&.cm-focused .cm-matchingBracket": {
    backgroundColor: "light-dark(var(--indigo-4), var(--indigo-5))",
    outline: "1px solid var(--focus)",
  },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--red-4)" },
  ".cm-tooltip": {
    maxWidth: "min(34rem, 92vw)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--radius-small)",
    backgroundColor: "var(--panel)",
    color: "var(--text)",
    boxShadow: "0 8px 24px rgb(0 0 0 / 18%)",
    fontFamily: "var(--sans)",
    fontSize: "0.93rem",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "15em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px", lineHeight: "1.5" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--accent-solid)",
    color: "#ffffff",
  },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionDetail": { marginLeft: "1.2em", fontStyle: "normal", color: "inherit" },
  ".cm-tooltip.cm-completionInfo": { padding: "9px 12px" },
  ".cm-told": { padding: "8px 12px" },
  ".cm-told p": { margin: "0" },
  ".cm-told p + p": { marginTop: "6px" },
  ".cm-told code": { fontFamily: "var(--mono)", fontSize: "0.92em" },
  ".cm-diagnostic": { padding: "7px 11px", borderLeft: "3px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnosticAction": {
    margin: "0 0 0 10px",
    padding: "1px 9px",
    borderRadius: "4px",
    backgroundColor: "var(--accent-solid)",
    color: "#ffffff",
    font: "540 0.88rem var(--sans)",
    cursor: "pointer",
  },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad)",
    textUnderlineOffset: "3px",
  },
  ".cm-lintRange-warning": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--warn)",
    textUnderlineOffset: "3px",
  },
  ".cm-panels": { backgroundColor: "var(--panel)", color: "var(--text)" },
  ".t-clause, .t-keyword": { color: word, fontWeight: "600" },
  ".t-operator, .t-function": { color: word },
  ".t-string, .t-value": { color: text },
  ".t-number": { color: number },
  ".t-span": { color: span, fontWeight: "550" },
  ".t-attribute, .t-scope": { color: key },
  ".t-intrinsic, .t-trace": { color: key, fontStyle: "italic" },
  ".t-binding": { color: bound },
  ".t-comment": { color: "var(--muted)" },
});
