// What the server is asked about a text, and how its places become those of the editor: the server
// counts characters, the editor UTF-16 units.

export interface Fix {
  title: string;
  start: number;
  end: number;
  insert: string;
}

export interface Problem {
  code: string;
  message: string;
  hint: string | null;
  level: "error" | "warning";
  line: number;
  start: number;
  end: number;
  fix: Fix | null;
}

export interface Marks {
  problems: Problem[];
  tokens: [number, number, string][];
}

export interface Offer {
  label: string;
  kind: string;
  insert: string;
  start: number;
  end: number;
  caret: number;
  detail: string;
  documentation: string;
}

export interface Told {
  markdown: string;
  start: number;
  end: number;
}

/** The server did not do what it was asked; the text is for people. */
export class Refused extends Error {}

/** Asks the routes below an address, as the person of a form. */
export class Server {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  marks(text: string): Promise<Marks> {
    return this.ask("marks", { text });
  }

  completions(text: string, offset: number): Promise<{ items: Offer[] }> {
    return this.ask("completions", { text, offset });
  }

  hover(text: string, offset: number): Promise<Told> {
    return this.ask("hover", { text, offset });
  }

  private async ask<T>(what: string, body: unknown): Promise<T> {
    const answer = await fetch(`${this.url}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": this.token },
      body: JSON.stringify(body),
    }).catch(() => undefined);
    if (!answer) throw new Refused("The server cannot be reached.");
    if (answer.ok) return (await answer.json()) as T;
    const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
    throw new Refused(problem.detail ?? `The server answers ${answer.status}.`);
  }
}

/** The place in UTF-16 units of so many characters. */
export function unitsIn(text: string): (characters: number) => number {
  if (!/[\ud800-\udbff]/.test(text)) return (characters) => Math.min(characters, text.length);
  const begins: number[] = [];
  let at = 0;
  for (const character of text) {
    begins.push(at);
    at += character.length;
  }
  return (characters) => begins[characters] ?? text.length;
}

/** How many characters stand before a place in UTF-16 units. */
export function charactersBefore(text: string, units: number): number {
  return [...text.slice(0, units)].length;
}
