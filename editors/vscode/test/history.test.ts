import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, replacement, type Step } from '../src/history';

const accepted = (uri: string, before: string, after: string, told = false): Step => ({ hunks: [uri], edits: [{ uri, before, after, saved: true }], told });
const told = (...hunks: string[]): Step => ({ hunks, edits: [], told: true });

test('the newest step comes first, and what was undone in the editor not at all', () => {
  const history = new History();
  history.push(told('h1'));
  history.push(accepted('a', 'old', 'new'));
  history.push(accepted('b', 'old', 'new'));
  const texts = new Map([['a', 'new'], ['b', 'old']]);
  assert.deepEqual(history.pop((uri) => texts.get(uri))?.hunks, ['a']);
  assert.deepEqual(history.pop((uri) => texts.get(uri))?.hunks, ['h1']);
  assert.equal(history.pop((uri) => texts.get(uri)), undefined);
});

test('a step the server knows of stands although the files are as before', () => {
  const history = new History();
  history.push(accepted('a', 'old', 'new', true));
  assert.equal(history.pop(() => 'old')?.told, true);
});

test('a rejection that was taken back by itself is no step any more', () => {
  const history = new History();
  history.push(told('h1'));
  history.push(told('h2'));
  history.forget('h1');
  assert.deepEqual(history.pop(() => undefined)?.hunks, ['h2']);
  assert.equal(history.pop(() => undefined), undefined);
});

test('only what differs is replaced', () => {
  for (const [from, to] of [['one two three', 'one 2 three'], ['', 'all'], ['all', ''], ['aa', 'aaa'], ['aaa', 'aa'], ['same', 'same'], ['a\nb\n', 'a\nx\nb\n']] as const) {
    const { start, end, text } = replacement(from, to);
    assert.equal(from.slice(0, start) + text + from.slice(end), to, `${from} to ${to}`);
  }
  assert.deepEqual(replacement('one two three', 'one 2 three'), { start: 4, end: 7, text: '2' });
});
