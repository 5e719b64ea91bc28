import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attemptOf, badge, clock, commentLabel, describe, headline, oneLine, progress, statusItem, taskLabel } from '../src/labels';
import { count } from '../src/proposals';
import type { RunStatus } from '../src/protocol';
import { file, hunk, proposal, status, task, told } from './make';

const run = (more: Partial<RunStatus> = {}): RunStatus => ({ id: 'r1', paused: false, stopping: false, task: 'talk', attempt: 2, agent: 'actor', waitingUntilMs: null, waitingWhy: null, ...more });

test('a time left', () => {
  assert.deepEqual([-5, 0, 1, 61_000, 3_723_000].map(clock), ['0:00', '0:00', '0:01', '1:01', '1:02:03']);
});

test('the headline says round, progress, changes and proofs', () => {
  const first = proposal([file('a', [hunk('1'), hunk('2', { mark: 'accepted' })])], { checks: [{ run: 'sh t.sh', passed: true, proof: true }] });
  assert.equal(headline(first, count(first, new Map())), 'Talk · 1 of 2 waiting, 1 accepted · $(verified) 1 check failed before and passes now');
  const second = proposal([file('a', [hunk('1', { changed: true }), hunk('2', { mark: 'rejected' })])], { round: 2, checks: [{ run: 'x', passed: false, proof: false }, { run: 'y', passed: false, proof: false }] });
  assert.equal(headline(second, count(second, new Map())), 'Talk, round 2 · 1 of 2 waiting, 1 rejected · 1 changed since the last round · $(error) 2 checks fail');
  assert.equal(progress({ all: 0, pending: 0, accepted: 0, rejected: 0, changed: 0, conflicts: 0 }), 'nothing to decide');
  assert.equal(progress({ all: 2, pending: 2, accepted: 0, rejected: 0, changed: 0, conflicts: 1 }), '2 of 2 waiting, 1 conflict');
});

test('what a hunk does that its lines do not show', () => {
  const made = { ...file('b', []), oldPath: 'a' };
  assert.equal(describe(hunk('h', { kind: 'rename' }), made), 'moves a here');
  assert.equal(describe(hunk('h'), made), undefined);
});

test('the badge counts what needs the person', () => {
  const decision = { id: 'd1', task: null, kind: 'clarification', question: '?', options: [], recommended: null, file: null, line: null };
  assert.equal(badge([status('r', [task('a', { state: 'done' })])]), undefined);
  assert.deepEqual(badge([status('r', [task('a'), task('b')], { decisions: [decision] })]), { value: 3, tooltip: '1 question, 2 to review' });
});

test('the status bar shows the worst of all folders', () => {
  const item = (...all: Parameters<typeof statusItem>[0]) => statusItem(all, undefined, 1000, 62_000);
  assert.equal(item(), undefined);
  assert.deepEqual(item(told()), { text: '$(checklist) idle', tooltip: 'Ralph', command: 'ralph.tasks.focus' });
  assert.equal(item(told(), told({ health: 'error', message: 'no engine' }))?.text, '$(error) no engine');
  assert.equal(item(told({ decisions: 1, health: 'warning', message: '1 question' }))?.command, 'ralph.answer');
  assert.equal(item(told({ pending: 2, message: '2 hunks to review' }))?.command, 'ralph.review');
  assert.deepEqual(item(told({ run: run(), message: 'talk, attempt 2' })), { text: '$(sync~spin) talk, attempt 2 1:01', tooltip: 'Ralph: actor works on talk', command: 'ralph.tasks.focus' });
  const resting = run({ task: null, attempt: null, agent: null, waitingUntilMs: 122_000, waitingWhy: 'waits for actor' });
  assert.deepEqual(item(told({ run: resting, message: 'waits' })), { text: '$(watch) waits · 1:00', tooltip: 'Ralph: waits for actor', command: 'ralph.tasks.focus' });
  const last = { id: 'r0', reason: 'finished', endedAtMs: 0, summary: '1 to review' };
  assert.equal(statusItem([told()], last, 0, 0)?.tooltip, 'Ralph, after the last run: 1 to review');
  assert.equal(attemptOf([told(), told({ run: run() })]), 'talk#2');
  assert.equal(attemptOf([told()]), '');
});

test('a task says its round and how far its review is', () => {
  const made = proposal([file('a', [hunk('1')])], { round: 3 });
  assert.deepEqual(taskLabel(task('talk', { why: 'it waits' }), made, count(made, new Map())), { label: 'talk', description: 'review · round 3 · 1 waiting', tooltip: 'talk: it waits\n1 of 1 waiting' });
  assert.equal(taskLabel(task('talk', { state: 'done' }), undefined, undefined).description, 'done');
});

test('comments say where they are and whether they were sent', () => {
  const comment = { id: 'c1', hunk: null, path: 'a.sh', line: 4, text: 'too\n familiar', round: 1, sent: false };
  assert.deepEqual(commentLabel(comment), { label: 'too familiar', description: 'a.sh:4 · goes with the next send back', tooltip: 'too\n familiar\n\ngoes with the next send back' });
  assert.equal(commentLabel({ ...comment, path: null, sent: true }).description, 'sent in round 1');
  assert.equal(oneLine('x'.repeat(200)).length, 120);
});
