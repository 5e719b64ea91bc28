// What was decided in this window, newest last, for *Ralph: Undo*: the server takes back what it wrote, but an accept in an
// open file is an edit of the editor, and taken back by one. Pure.

/** A file that an accept edited. */
export interface Edited {
  uri: string;
  before: string;
  after: string;
  /** It had no unsaved changes, so it was saved with the accept. */
  saved: boolean;
}

export interface Step {
  root?: string;
  hunks: string[];
  edits: Edited[];
  /** The server has something to take back as well. */
  told: boolean;
}

// Steps that are kept, with the texts of the files they edited.
const LENGTH = 50;

export class History {
  private readonly steps: Step[] = [];

  push(step: Step): void {
    this.steps.push(step);
    this.steps.splice(0, Math.max(this.steps.length - LENGTH, 0));
  }

  /** The rejection of this hunk was taken back by itself. */
  forget(hunk: string): void {
    const at = this.steps.findLastIndex((step) => step.edits.length === 0 && step.hunks.includes(hunk));
    if (at >= 0) {
      this.steps.splice(at, 1);
    }
  }

  /** The newest step that still stands; what the person has undone in the editor is passed over. `textOf` is a file's text now. */
  pop(textOf: (uri: string) => string | undefined): Step | undefined {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      const isUndone = !step.told && step.edits.every(({ uri, before }) => textOf(uri) === before);
      if (!isUndone) {
        return step;
      }
    }
    return undefined;
  }
}

/** The part of a text to replace to make another of it: offsets of its first and after its last character, and what goes there. */
export function replacement(from: string, to: string): { start: number; end: number; text: string } {
  let start = 0;
  while (start < from.length && start < to.length && from[start] === to[start]) {
    start++;
  }
  let same = 0;
  while (same < from.length - start && same < to.length - start && from[from.length - 1 - same] === to[to.length - 1 - same]) {
    same++;
  }
  return { start, end: from.length - same, text: to.slice(start, to.length - same) };
}
