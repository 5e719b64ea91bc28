// A file with its proposal in it: old and new lines together, as lines with a kind each. Pure.

import type { ProposalHunk } from './protocol';

export type LineKind = 'same' | 'old' | 'new';

export interface Merged {
  lines: string[];
  kinds: LineKind[];
  /** Where each pending hunk is in `lines`: first line and line after the last. */
  hunks: { hunk: ProposalHunk; start: number; end: number }[];
}

function withoutEnd(line: string): string {
  return line.replace(/\r?\n$/, '');
}

/** Puts the new lines of the pending hunks below the old ones they replace. `hunks` have their places in `text`. */
export function merge(text: string, hunks: ProposalHunk[]): Merged {
  const source = text.split(/\r?\n/);
  if (source.length > 0 && source[source.length - 1] === '') {
    source.pop();
  }
  const merged: Merged = { lines: [], kinds: [], hunks: [] };
  const put = (line: string, kind: LineKind) => {
    merged.lines.push(line);
    merged.kinds.push(kind);
  };
  let at = 0;
  for (const hunk of [...hunks].sort((a, b) => a.startLine - b.startLine)) {
    const first = hunk.kind === 'text' ? Math.min(hunk.startLine, source.length) : 0;
    const last = hunk.kind === 'text' ? Math.min(hunk.endLine, source.length) : hunk.kind === 'delete' ? source.length : 0;
    for (; at < first; at++) {
      put(source[at] as string, 'same');
    }
    const start = merged.lines.length;
    for (; at < last; at++) {
      put(source[at] as string, 'old');
    }
    for (const line of hunk.newLines) {
      put(withoutEnd(line), 'new');
    }
    if (merged.lines.length === start) {
      // Nothing of its own to show, such as a mode: it stands at the next line.
      merged.hunks.push({ hunk, start, end: start + 1 });
    } else {
      merged.hunks.push({ hunk, start, end: merged.lines.length });
    }
  }
  for (; at < source.length; at++) {
    put(source[at] as string, 'same');
  }
  return merged;
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
