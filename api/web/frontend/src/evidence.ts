// The pages of evidence: a record, and packs, verified by this browser alone. Nothing is sent.
import { startPacks } from "./evidence/packs";
import { startRecord } from "./evidence/record";

startRecord();
startPacks();
