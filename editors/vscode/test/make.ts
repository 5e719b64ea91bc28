// Small things of the protocol for the tests, with what they do not care about filled in.

import type { ProposalFileResult, ProposalHunk, ProposalResult, StatusNotification, StatusResult, TaskStatus } from '../src/protocol';

export function hunk(id: string, more: Partial<ProposalHunk> = {}): ProposalHunk {
  return {
    id, kind: 'text', mark: 'pending', state: null, startLine: 0, endLine: 0, oldStart: 0, newStart: 0, oldLines: [], newLines: [],
    weakensTest: null, findings: [], comments: [], changed: false, again: false, waitsFor: null, ...more,
  };
}

/** A hunk that replaces lines of a text, by the lines with their 0-based places. */
export function change(id: string, oldStart: number, oldLines: string[], newStart: number, newLines: string[]): ProposalHunk {
  return hunk(id, { oldStart, newStart, oldLines: oldLines.map((line) => `${line}\n`), newLines: newLines.map((line) => `${line}\n`) });
}

export function file(path: string, hunks: ProposalHunk[]): ProposalFileResult {
  return { path, oldPath: null, uri: `file:///r/${path}`, baseUri: `ralph:/base/t/${path}`, proposalUri: `ralph:/proposal/t/${path}`, hunks };
}

export function proposal(files: ProposalFileResult[], more: Partial<ProposalResult> = {}): ProposalResult {
  return {
    task: 't', title: 'Talk', attempt: 1, outcome: 'verified', summary: null, acceptance: [], checks: [], findings: [], files,
    uri: 'ralph:/review/t.diff', round: 1, comments: [], ...more,
  };
}

export function task(id: string, more: Partial<TaskStatus> = {}): TaskStatus {
  return { id, title: id, status: 'todo', state: 'review', why: '', attempts: [], hunks: [], questions: [], ...more };
}

export function status(root: string, tasks: TaskStatus[], more: Partial<StatusResult> = {}): StatusResult {
  return { root, run: null, lastRun: null, tasks, decisions: [], queueProblem: null, agents: [], ...more };
}

export function told(more: Partial<StatusNotification> = {}): StatusNotification {
  return { root: 'file:///r', health: 'ok', message: 'idle', run: null, states: {}, decisions: 0, pending: 0, ...more };
}
