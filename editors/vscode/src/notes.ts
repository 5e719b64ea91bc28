// What was decided here and is not in a status of the server yet, by hunk. Pure.
//
// A note stands until the server has refused its decision, or has answered it and then told how things are. Only a status
// that was asked for after the answer counts: an older one may not know of the decision.

import type { Mark } from './proposals';

interface Note {
  mark: Mark;
  answered: boolean;
}

/** Notes that a status asked for at a certain time must know about. */
export type Due = [hunk: string, note: Note][];

export class Notes {
  private readonly notes = new Map<string, Note>();

  get(hunk: string): Mark | undefined {
    return this.notes.get(hunk)?.mark;
  }

  get hunks(): string[] {
    return [...this.notes.keys()];
  }

  add(hunks: string[], mark: Mark): void {
    hunks.forEach((hunk) => this.notes.set(hunk, { mark, answered: false }));
  }

  /** The server has done what was decided about these. */
  answer(hunks: string[]): void {
    for (const note of hunks.map((hunk) => this.notes.get(hunk))) {
      if (note) {
        note.answered = true;
      }
    }
  }

  /** Takes notes back; tells whether there was any. */
  drop(hunks: string[]): boolean {
    return hunks.filter((hunk) => this.notes.delete(hunk)).length > 0;
  }

  /** What a status that is asked for now knows by itself. */
  due(): Due {
    return [...this.notes].filter(([, note]) => note.answered);
  }

  /** Such a status has come. What was decided anew since then stays. */
  settle(due: Due): void {
    for (const [hunk, note] of due) {
      if (this.notes.get(hunk) === note) {
        this.notes.delete(hunk);
      }
    }
  }
}
