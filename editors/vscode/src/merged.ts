// A file with its proposal in it: old and new lines together, as lines with a kind each. Pure.

import type { ProposalHunk } from './protocol';

export type LineKind = 'old' | 'new';

/** Where a hunk is in the lines: its first line, its first new line, and the line after its last. */
export interface Spot {
  id: string;
  start: number;
  fresh: number;
  end: number;
  /** First line in the base and in the proposed text. */
  oldStart: number;
  newStart: number;
}

export interface Merged {
  lines: string[];
  /** In the order of the lines. */
  spots: Spot[];
}

function withoutEnd(line: string): string {
  return line.replace(/\r?\n$/, '');
}

/** Puts the new lines of the hunks below the old ones they replace. The places of `hunks` are those in `base`. */
export function merge(base: string, hunks: ProposalHunk[]): Merged {
  const source = base.split(/\r?\n/);
  if (source[source.length - 1] === '') {
    source.pop();
  }
  const lines: string[] = [];
  const spots: Spot[] = [];
  let at = 0;
  const copy = (end: number) => {
    for (; at < end; at++) {
      lines.push(source[at] as string);
    }
  };
  for (const hunk of [...hunks].sort((a, b) => a.oldStart - b.oldStart)) {
    // What is about a whole file stands at its top; a file that goes is all old.
    const whole = hunk.kind !== 'text';
    const first = whole ? 0 : Math.min(hunk.oldStart, source.length);
    const removed = hunk.kind === 'delete' ? source.length : whole ? 0 : hunk.oldLines.length;
    copy(first);
    const start = lines.length;
    copy(Math.min(first + removed, source.length));
    const fresh = lines.length;
    for (const line of hunk.newLines) {
      lines.push(withoutEnd(line));
    }
    spots.push({ id: hunk.id, start, fresh, end: lines.length, oldStart: first, newStart: hunk.newStart });
  }
  copy(source.length);
  return { lines, spots };
}

/** The lines a hunk has to be seen by: one at least, also where it has none of its own, such as a mode. */
export function endOf(spot: Spot): number {
  return Math.max(spot.end, spot.start + 1);
}

/** The hunk at a line, if one is there. */
export function spotAt(merged: Merged, line: number): Spot | undefined {
  return merged.spots.find((spot) => spot.start <= line && line < endOf(spot));
}

/** The line of the proposed text, 1-based, that a line of the document stands for. An old line stands for the new one in its place. */
export function proposedLine(merged: Merged, line: number): number {
  let gone = 0;
  for (const spot of merged.spots) {
    if (line < spot.start) {
      break;
    }
    if (line < spot.fresh) {
      return spot.newStart + 1;
    }
    gone += spot.fresh - spot.start;
  }
  return line - gone + 1;
}

/** The line of the document for a line of the proposed text, 1-based. */
export function lineOf(merged: Merged, proposed: number): number {
  let line = proposed - 1;
  for (const spot of merged.spots) {
    if (line < spot.start) {
      break;
    }
    line += spot.fresh - spot.start;
  }
  return Math.max(0, Math.min(line, merged.lines.length - 1));
}

/** The part of both lines that differs: columns of the first and after the last character, in each. */
export function difference(old: string, text: string): { old: [number, number]; text: [number, number] } {
  let start = 0;
  while (start < old.length && start < text.length && old[start] === text[start]) {
    start++;
  }
  let end = 0;
  while (end < old.length - start && end < text.length - start && old[old.length - 1 - end] === text[text.length - 1 - end]) {
    end++;
  }
  return { old: [start, old.length - end], text: [start, text.length - end] };
}

/** Where the caret goes when the review turns to another hunk: to its first new line, or old one where it has no new. */
export function caretOf(spot: Spot): number {
  return spot.fresh < spot.end ? spot.fresh : spot.start;
}
