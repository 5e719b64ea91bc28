// What a person reads in the view, the status bar and above the hunks, made from what the server tells. Pure.

import type { Counts } from './proposals';
import type {
  AttemptStatus, CommentStatus, FindingStatus, LastRunStatus, ProposalFileResult, ProposalHunk, ProposalResult, RunStatus,
  StatusNotification, StatusResult, TaskStatus,
} from './protocol';

/** As much of a text as has room beside other words. */
export function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** What a hunk does that its lines do not show; nothing for lines of a text. */
export function describe(hunk: ProposalHunk, file: ProposalFileResult): string | undefined {
  switch (hunk.kind) {
    case 'create':
      return 'a new file';
    case 'delete':
      return 'removes the file';
    case 'rename':
      return `moves ${file.oldPath ?? 'the file'} here`;
    case 'mode':
      return 'makes the file executable, or no longer so';
    case 'binary':
      return 'changes a file that is not text';
    default:
      return undefined;
  }
}

/** The first line of a review: what is reviewed, which round, how far it is, and what the checks said. */
export function headline(proposal: ProposalResult, counts: Counts): string {
  const { round } = proposal;
  const proofs = proposal.checks.filter((check) => check.proof).length;
  const failed = proposal.checks.filter((check) => !check.passed).length;
  const checks = failed > 0
    ? `$(error) ${plural(failed, 'check fails', 'checks fail')}`
    : proofs > 0 ? `$(verified) ${plural(proofs, 'check', 'checks')} failed before and ${proofs === 1 ? 'passes' : 'pass'} now` : '';
  return [
    `${proposal.title}${round > 1 ? `, round ${round}` : ''}`,
    progress(counts),
    round > 1 ? `${counts.changed} changed since the last round` : '',
    checks,
  ].filter((part) => part !== '').join(' · ');
}

/** How far a review is, in a few words. */
export function progress(counts: Counts): string {
  const parts = [
    counts.pending > 0 && `${counts.pending} of ${counts.all} waiting`,
    counts.accepted > 0 && `${counts.accepted} accepted`,
    counts.rejected > 0 && `${counts.rejected} rejected`,
    counts.conflicts > 0 && plural(counts.conflicts, 'conflict', 'conflicts'),
  ];
  return parts.filter(Boolean).join(', ') || 'nothing to decide';
}

/** Tells whether all agents who could go on with a run rest. */
export function isWaiting(run: RunStatus): boolean {
  return run.waitingUntilMs !== null && run.waitingUntilMs !== undefined && !run.paused;
}

/** A time left, as `12:31` or `1:02:03`; never below nothing. */
export function clock(milliseconds: number): string {
  const seconds = Math.max(Math.ceil(milliseconds / 1000), 0);
  const two = (number: number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** What needs the person, as a number and in words; nothing when nothing does. */
export function badge(statuses: StatusResult[]): { value: number; tooltip: string } | undefined {
  const decisions = statuses.reduce((sum, status) => sum + status.decisions.length, 0);
  const reviews = statuses.reduce((sum, status) => sum + status.tasks.filter((task) => task.state === 'review').length, 0);
  const words = [decisions > 0 && plural(decisions, 'question', 'questions'), reviews > 0 && `${reviews} to review`];
  return decisions + reviews > 0 ? { value: decisions + reviews, tooltip: words.filter(Boolean).join(', ') } : undefined;
}

export interface StatusItem {
  text: string;
  tooltip: string;
  command: string;
}

/** The item of the status bar; `since` is when the attempt that is on was first seen, both in milliseconds. */
export function statusItem(told: StatusNotification[], last: LastRunStatus | undefined, since: number, now: number): StatusItem | undefined {
  const worst = told.find((status) => status.health === 'error')
    ?? told.find((status) => status.health === 'warning')
    ?? told.find((status) => status.run)
    ?? told[0];
  if (!worst) {
    return undefined;
  }
  const run = told.find((status) => status.run)?.run;
  const resting = worst.health !== 'error' && worst.run && isWaiting(worst.run) ? worst.run : undefined;
  const left = resting ? ` · ${clock((resting.waitingUntilMs ?? 0) - now)}` : '';
  const elapsed = run?.task ? ` ${clock(Math.floor((now - since) / 1000) * 1000)}` : '';
  const icon = worst.health === 'error' ? '$(error)' : worst.health === 'warning' ? '$(question)' : resting ? '$(watch)' : run ? '$(sync~spin)' : '$(checklist)';
  const tooltip = run?.agent ? `Ralph: ${run.agent} works on ${run.task}` : resting ? `Ralph: ${resting.waitingWhy}` : 'Ralph';
  return {
    text: `${icon} ${worst.message || 'Ralph'}${elapsed}${left}`,
    tooltip: !run && last ? `Ralph, after the last run: ${last.summary}` : tooltip,
    command: worst.decisions > 0 ? 'ralph.answer' : worst.pending > 0 ? 'ralph.review' : 'ralph.tasks.focus',
  };
}

/** Which attempt is on, to tell one from the next. */
export function attemptOf(told: StatusNotification[]): string {
  const run = told.find((status) => status.run)?.run;
  return run?.task ? `${run.task}#${run.attempt}` : '';
}

/** A label of the tree with what stands beside it. */
export interface Label {
  label: string;
  description: string;
  tooltip: string;
}

export function taskLabel(task: TaskStatus, proposal: ProposalResult | undefined, counts: Counts | undefined): Label {
  const round = proposal && proposal.round > 1 ? `round ${proposal.round}` : '';
  const far = counts && counts.pending > 0 ? `${counts.pending} waiting` : counts && counts.rejected > 0 ? `${counts.rejected} rejected` : '';
  return {
    label: task.title,
    description: [task.state, round, far].filter((part) => part !== '').join(' · '),
    tooltip: `${task.id}: ${task.why}${counts && counts.all > 0 ? `\n${progress(counts)}` : ''}`,
  };
}

export function attemptLabel(attempt: AttemptStatus): Label {
  const agent = attempt.model ? `${attempt.agent}, ${attempt.model}` : attempt.agent;
  return {
    label: `Attempt ${attempt.number}`,
    description: [attempt.outcome ?? 'running', agent, attempt.used].filter(Boolean).join(' · '),
    tooltip: attempt.detail,
  };
}

export function fileDescription(pending: number, all: number): string {
  return pending > 0 ? `${pending} of ${all} waiting` : 'decided';
}

export function findingLabel(finding: FindingStatus): Label {
  return {
    label: finding.text,
    description: finding.file ? `${finding.file}${finding.line ? `:${finding.line}` : ''}` : 'the reviewer',
    tooltip: `The reviewer: ${finding.text}`,
  };
}

export function commentLabel(comment: CommentStatus): Label {
  const place = comment.path ? `${comment.path}${comment.line ? `:${comment.line}` : ''}` : '';
  const fate = comment.sent ? `sent in round ${comment.round}` : 'goes with the next send back';
  return { label: oneLine(comment.text), description: [place, fate].filter(Boolean).join(' · '), tooltip: `${comment.text}\n\n${fate}` };
}
