// What a command is about: the server's own parameters, a node of the view, or nothing. Pure.

import type { Place } from './proposals';
import type { StatusResult, TaskStatus } from './protocol';
import type { Node } from './view';

export interface Target {
  root?: string;
  task?: string;
  tasks?: string[];
  hunks?: string[];
  uri?: string;
  decision?: string;
  text?: string;
  why?: string;
  [key: string]: unknown;
}

export type Argument = Target | Node | undefined;

export function isNode(argument: Argument): argument is Node {
  return typeof argument === 'object' && argument !== null && 'kind' in argument;
}

/** What an argument says: nodes name their task, lenses and code actions bring the server's parameters. */
export function target(argument: Argument): Target {
  if (!isNode(argument)) {
    return argument ?? {};
  }
  switch (argument.kind) {
    case 'remedy':
      return {};
    case 'folder':
      return { root: argument.root };
    case 'decision':
      return { root: argument.root, decision: argument.decision.id };
    case 'comment':
      return { root: argument.root, task: argument.task.id, ...(argument.comment.hunk ? { hunks: [argument.comment.hunk] } : {}) };
    default:
      return { root: argument.root, task: argument.task.id };
  }
}

/** The file of the proposal a node is about. */
export function pathOf(argument: Argument): string | undefined {
  if (!isNode(argument)) {
    return undefined;
  }
  return argument.kind === 'file' ? argument.path : argument.kind === 'comment' ? argument.comment.path ?? undefined : undefined;
}

export interface Found {
  root: string;
  task: TaskStatus;
}

/** The tasks of all folders that a command could be about. */
export function tasksOf(statuses: ReadonlyMap<string, StatusResult>, wanted: (task: TaskStatus) => boolean): Found[] {
  return [...statuses].flatMap(([root, status]) => status.tasks.filter(wanted).map((task) => ({ root, task })));
}

/** The hunk to begin with: one that waits, of the task and the file that are meant; else, where a file or a hunk is named, one that is decided. */
export function firstOf(places: Place[], waits: (place: Place) => boolean, given: Target, path?: string): Place | undefined {
  const hunks = new Set(given.hunks ?? []);
  const isMeant = (place: Place) => (!given.task || place.proposal.task === given.task)
    && (!given.root || place.root === given.root)
    && (!path || place.file.path === path)
    && (hunks.size === 0 || hunks.has(place.hunk.id));
  const meant = places.filter(isMeant);
  return meant.find(waits) ?? (path !== undefined || hunks.size > 0 ? meant[0] : undefined);
}

/** Hunks by the task they belong to, in order. */
export function byTask(places: Place[]): Place[][] {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    const key = `${place.root} ${place.proposal.task}`;
    groups.set(key, [...(groups.get(key) ?? []), place]);
  }
  return [...groups.values()];
}
