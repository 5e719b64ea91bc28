import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commentsOn, count, inOrder, isInReview, keepOrder, type Mark, markOf, nextAfter, takeMarks, versionOf } from '../src/proposals';
import { firstOf, byTask, pathOf, target, tasksOf } from '../src/targets';
import { file, hunk, proposal, status, task } from './make';

const ids = (places: { hunk: { id: string } }[]) => places.map((place) => place.hunk.id).join(' ');
const nothing = new Map<string, Mark>();

test('files that may weaken the tests come first, the rest stays in order', () => {
  const made = proposal([file('a', [hunk('a1'), hunk('a2')]), file('t', [hunk('t1'), hunk('t2', { weakensTest: 'an assertion is gone' })]), file('z', [hunk('z1')])]);
  assert.equal(ids(inOrder('r', made)), 't1 t2 a1 a2 z1');
});

test('what is on its way counts before what the server has', () => {
  const decided = new Map<string, Mark>([['a', 'rejected']]);
  assert.equal(markOf(hunk('a'), decided), 'rejected');
  assert.equal(markOf(hunk('b'), decided), 'pending');
  assert.equal(markOf(hunk('b', { state: 'accepted' }), nothing), 'accepted', 'its text is in the open document');
  assert.equal(markOf(hunk('b', { mark: 'rejected', state: 'accepted' }), nothing), 'rejected');
});

test('the next hunk is the one after those decided, and round to the beginning', () => {
  const order = inOrder('r', proposal([file('a', ['1', '2', '3', '4'].map((id) => hunk(id)))]));
  const next = (gone: string[], done: string[] = []) => nextAfter(order, new Set(gone), (hunk) => !done.includes(hunk.id))?.hunk.id;
  assert.equal(next(['1']), '2');
  assert.equal(next(['1'], ['2']), '3');
  assert.equal(next(['4']), '1');
  assert.equal(next(['2', '3']), '4');
  assert.equal(next(['4'], ['1', '2']), '3');
  assert.equal(next(['1', '2', '3', '4']), undefined);
  assert.equal(next([], ['1']), '2');
});

test('a proposal is read again when it is another one, and not for a mark', () => {
  const made = task('t', { hunks: [{ id: 'a', path: 'a', mark: 'pending' }, { id: 'b', path: 'a', mark: 'pending' }] });
  const marked = task('t', { hunks: [{ id: 'a', path: 'a', mark: 'accepted' }, { id: 'b', path: 'a', mark: 'pending' }] });
  const other = task('t', { hunks: [{ id: 'a', path: 'a', mark: 'pending' }, { id: 'c', path: 'a', mark: 'pending' }] });
  assert.equal(versionOf(made), versionOf(marked));
  assert.notEqual(versionOf(made), versionOf(other));
  const known = proposal([file('a', [hunk('a'), hunk('b')])]);
  takeMarks(known, marked);
  assert.deepEqual(known.files[0]?.hunks.map((hunk) => hunk.mark), ['accepted', 'pending']);
});

test('files stay in the order they were shown in, new ones come last', () => {
  const before = proposal([file('b', []), file('a', []), file('c', [])]);
  const now = proposal([file('new', []), file('c', []), file('a', []), file('b', [])]);
  keepOrder(now, before);
  assert.deepEqual(now.files.map((file) => file.path), ['b', 'a', 'c', 'new']);
});

test('what is under review', () => {
  const hunks = (mark: string) => [{ id: 'a', path: 'a', mark }];
  assert.equal(isInReview(task('t', { hunks: hunks('pending') })), true);
  assert.equal(isInReview(task('t', { hunks: hunks('rejected') })), true, 'it has to go somewhere');
  assert.equal(isInReview(task('t', { state: 'done', hunks: hunks('accepted') })), false);
  assert.equal(isInReview(task('t', { hunks: [] })), false);
});

test('the counts of a review', () => {
  const made = proposal([file('a', [hunk('1', { changed: true }), hunk('2', { state: 'conflict' }), hunk('3', { mark: 'accepted' })]), file('b', [hunk('4')])]);
  assert.deepEqual(count(made, new Map([['4', 'rejected']])), { all: 4, pending: 2, accepted: 1, rejected: 1, changed: 1, conflicts: 1 });
});

test('comments on a file are those that name it or a hunk of it', () => {
  const a = file('a', [hunk('1')]);
  const comment = (id: string, more: object) => ({ id, hunk: null, path: null, line: null, text: id, round: 1, sent: false, ...more });
  const made = proposal([a, file('b', [hunk('2')])], { comments: [comment('x', { path: 'a' }), comment('y', { hunk: '1' }), comment('z', { hunk: '2', path: 'b' }), comment('w', {})] });
  assert.deepEqual(commentsOn(made, a).map((comment) => comment.id), ['x', 'y']);
});

test('an argument says what a command is about', () => {
  const made = task('t');
  const comment = { id: 'c1', hunk: 'h', path: 'a', line: 3, text: '', round: 1, sent: false };
  assert.deepEqual(target(undefined), {});
  assert.deepEqual(target({ root: 'r', hunks: ['h'] }), { root: 'r', hunks: ['h'] });
  assert.deepEqual(target({ kind: 'folder', root: 'r' }), { root: 'r' });
  assert.deepEqual(target({ kind: 'task', root: 'r', task: made }), { root: 'r', task: 't' });
  assert.deepEqual(target({ kind: 'comment', root: 'r', task: made, comment }), { root: 'r', task: 't', hunks: ['h'] });
  assert.equal(pathOf({ kind: 'file', root: 'r', task: made, path: 'a', pending: 0, all: 1 }), 'a');
  assert.equal(pathOf({ kind: 'comment', root: 'r', task: made, comment }), 'a');
  assert.equal(pathOf({ root: 'r' }), undefined);
});

test('a review begins with what waits, or with what was named', () => {
  const places = inOrder('r', proposal([file('a', [hunk('a1'), hunk('a2')]), file('b', [hunk('b1')])]));
  const waits = (place: { hunk: { id: string } }) => place.hunk.id === 'a2';
  assert.equal(firstOf(places, waits, {})?.hunk.id, 'a2');
  assert.equal(firstOf(places, waits, { task: 'other' }), undefined);
  assert.equal(firstOf(places, waits, { root: 'other' }), undefined);
  assert.equal(firstOf(places, waits, { task: 't' }, 'b')?.hunk.id, 'b1', 'decided, but asked for');
  assert.equal(firstOf(places, () => false, {}), undefined);
  assert.equal(firstOf(places, waits, { hunks: ['a1'] })?.hunk.id, 'a1');
});

test('hunks by task, and tasks by folder, keep their order', () => {
  const one = inOrder('r', proposal([file('a', [hunk('1'), hunk('2')])]));
  const two = inOrder('s', proposal([file('a', [hunk('3')])]));
  assert.deepEqual(byTask([one[0]!, two[0]!, one[1]!]).map(ids), ['1 2', '3']);
  const statuses = new Map([['r', status('r', [task('a'), task('b', { state: 'done' })])], ['s', status('s', [task('c')])]]);
  assert.deepEqual(tasksOf(statuses, (task) => task.state === 'review').map(({ root, task }) => `${root} ${task.id}`), ['r a', 's c']);
});
