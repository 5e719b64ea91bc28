// What waits for the person in the proposals of a window, in which order, and what is decided but not yet told. Pure.

import type { CommentStatus, ProposalFileResult, ProposalHunk, ProposalResult, TaskStatus } from './protocol';

/** A hunk with where it belongs. */
export interface Place {
  root: string;
  proposal: ProposalResult;
  file: ProposalFileResult;
  hunk: ProposalHunk;
}

export type Mark = 'pending' | 'accepted' | 'rejected';

/** What was decided here and is on its way to the server, by hunk. */
export type Decided = Pick<ReadonlyMap<string, Mark>, 'get'>;

/** What was made of a hunk: by what is on its way, else as the server has it. */
export function markOf(hunk: ProposalHunk, decided: Decided): Mark {
  const told = decided.get(hunk.id);
  if (told) {
    return told;
  }
  return hunk.mark === 'pending' && hunk.state === 'accepted' ? 'accepted' : (hunk.mark as Mark);
}

/** All hunks of proposals in the order to review them: files that may weaken the tests come first. */
export function inOrder(root: string, proposal: ProposalResult): Place[] {
  const isRisky = (file: ProposalFileResult) => file.hunks.some((hunk) => hunk.weakensTest);
  const files = [...proposal.files.filter(isRisky), ...proposal.files.filter((file) => !isRisky(file))];
  return files.flatMap((file) => file.hunks.map((hunk) => ({ root, proposal, file, hunk })));
}

/** The first hunk that waits after those that were just decided, and round to the beginning. */
export function nextAfter(order: Place[], gone: ReadonlySet<string>, waits: (hunk: ProposalHunk) => boolean): Place | undefined {
  let at = -1;
  order.forEach((place, index) => {
    at = gone.has(place.hunk.id) ? index : at;
  });
  const open = (place: Place) => !gone.has(place.hunk.id) && waits(place.hunk);
  return order.slice(at + 1).find(open) ?? order.slice(0, at + 1).find(open);
}

/** Whether a task has a proposal that a person still has something to do with. */
export function isInReview(task: TaskStatus): boolean {
  const open = ['review', 'stale'].includes(task.state);
  return task.hunks.length > 0 && (open || task.hunks.some((hunk) => hunk.mark === 'pending'));
}

/** Which version of a proposal a status is about: while this is the same, only marks and places change. */
export function versionOf(task: TaskStatus): string {
  const last = task.attempts[task.attempts.length - 1]?.number ?? 0;
  return `${last} ${task.hunks.length} ${task.hunks[0]?.id ?? ''} ${task.hunks[task.hunks.length - 1]?.id ?? ''}`;
}

/** Takes the marks of a status over into a proposal. */
export function takeMarks(proposal: ProposalResult, task: TaskStatus): void {
  const marks = new Map(task.hunks.map((hunk) => [hunk.id, hunk.mark]));
  for (const hunk of proposal.files.flatMap((file) => file.hunks)) {
    hunk.mark = marks.get(hunk.id) ?? hunk.mark;
  }
}

/** Leaves the files in the order they were first shown in; the server's order changes with what is decided. */
export function keepOrder(proposal: ProposalResult, before: ProposalResult): void {
  const places = new Map(before.files.map((file, index) => [file.path, index]));
  const place = (file: ProposalFileResult) => places.get(file.path) ?? places.size;
  proposal.files.sort((a, b) => place(a) - place(b));
}

export interface Counts {
  all: number;
  pending: number;
  accepted: number;
  rejected: number;
  /** Hunks that are new or different since the round before. */
  changed: number;
  conflicts: number;
}

/** How far the review of a proposal is. */
export function count(proposal: ProposalResult, decided: Decided): Counts {
  const counts: Counts = { all: 0, pending: 0, accepted: 0, rejected: 0, changed: 0, conflicts: 0 };
  for (const hunk of proposal.files.flatMap((file) => file.hunks)) {
    counts.all++;
    counts[markOf(hunk, decided)]++;
    counts.changed += hunk.changed ? 1 : 0;
    counts.conflicts += hunk.state === 'conflict' && markOf(hunk, decided) === 'pending' ? 1 : 0;
  }
  return counts;
}

/** The comments of a proposal that are about a file. */
export function commentsOn(proposal: ProposalResult, file: ProposalFileResult): CommentStatus[] {
  const hunks = new Set(file.hunks.map((hunk) => hunk.id));
  return proposal.comments.filter((comment) => comment.path === file.path || (comment.hunk && hunks.has(comment.hunk)));
}
