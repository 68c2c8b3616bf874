// The editor of rule texts: a field of the form becomes one with colours, completion, explanations
// and problems, all of them computed by the server. Without this script the field stays a field.
import { startEditor } from "./editor/surface";
import { startPlayground } from "./editor/playground";
import { startUnsaved } from "./editor/unsaved";

for (const field of document.querySelectorAll<HTMLTextAreaElement>("textarea[data-editor]")) {
  startEditor(field);
}
startPlayground();
startUnsaved();
