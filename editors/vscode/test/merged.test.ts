import assert from 'node:assert/strict';
import { test } from 'node:test';
import { caretOf, difference, endOf, lineOf, merge, proposedLine, spotAt } from '../src/merged';
import { change, hunk } from './make';

const base = 'one\ntwo\nthree\nfour\n';

test('new lines stand below the old ones they replace', () => {
  const merged = merge(base, [change('a', 1, ['two'], 1, ['zwei', 'deux'])]);
  assert.deepEqual(merged.lines, ['one', 'two', 'zwei', 'deux', 'three', 'four']);
  assert.deepEqual(merged.spots, [{ id: 'a', start: 1, fresh: 2, end: 4, oldStart: 1, newStart: 1 }]);
});

test('lines that come and lines that go', () => {
  const merged = merge(base, [change('in', 0, [], 0, ['zero']), change('out', 3, ['four'], 4, [])]);
  assert.deepEqual(merged.lines, ['zero', 'one', 'two', 'three', 'four']);
  const [first, second] = merged.spots;
  assert.deepEqual([first?.start, first?.fresh, first?.end], [0, 0, 1]);
  assert.deepEqual([second?.start, second?.fresh, second?.end], [4, 5, 5]);
  assert.deepEqual(merged.spots.map(caretOf), [0, 4]);
});

test('hunks are taken in the order of the text, whatever order they come in', () => {
  const hunks = [change('b', 3, ['four'], 3, ['vier']), change('a', 0, ['one'], 0, ['eins'])];
  assert.deepEqual(merge(base, hunks).lines, ['one', 'eins', 'two', 'three', 'four', 'vier']);
});

test('both sides can be read off again, for every choice of hunks', () => {
  const source = Array.from({ length: 40 }, (_, line) => `line ${line % 3}`);
  for (let seed = 1; seed < 200; seed++) {
    let state = seed;
    const random = (below: number) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return state % below;
    };
    const hunks = [];
    const proposed: string[] = [];
    for (let at = 0; at < source.length; ) {
      if (random(4) === 0) {
        const gone = source.slice(at, at + random(3));
        const come = Array.from({ length: random(3) }, () => `new ${random(2)}`);
        if (gone.length + come.length > 0) {
          hunks.push(change(`h${at}`, at, gone, proposed.length, come));
          proposed.push(...come);
          at += gone.length;
        }
      }
      if (at < source.length) {
        proposed.push(source[at++] as string);
      }
    }
    const merged = merge(`${source.join('\n')}\n`, hunks);
    const inside = (line: number, kind: 'old' | 'new') => merged.spots.some((spot) => (kind === 'old' ? line >= spot.start && line < spot.fresh : line >= spot.fresh && line < spot.end));
    assert.deepEqual(merged.lines.filter((_, line) => !inside(line, 'new')), source, `the base of ${seed}`);
    assert.deepEqual(merged.lines.filter((_, line) => !inside(line, 'old')), proposed, `the proposal of ${seed}`);
    merged.lines.forEach((text, line) => {
      if (!inside(line, 'old')) {
        assert.equal(proposed[proposedLine(merged, line) - 1], text, `line ${line} of ${seed}`);
        assert.equal(lineOf(merged, proposedLine(merged, line)), line, `there and back at ${line} of ${seed}`);
      }
    });
  }
});

test('an old line stands for the new one in its place', () => {
  const merged = merge(base, [change('a', 1, ['two', 'three'], 1, ['zwei'])]);
  assert.equal(proposedLine(merged, 1), 2);
  assert.equal(proposedLine(merged, 2), 2);
  assert.equal(proposedLine(merged, 4), 3);
});

test('what has no lines of its own is seen at the first', () => {
  const merged = merge(base, [hunk('mode', { kind: 'mode' }), change('a', 0, ['one'], 0, ['eins'])]);
  assert.deepEqual(merged.lines, ['one', 'eins', 'two', 'three', 'four']);
  assert.equal(endOf(merged.spots[0] as never), 1);
  assert.equal(spotAt(merged, 0)?.id, 'mode');
  assert.equal(spotAt(merged, 1)?.id, 'a');
  assert.equal(spotAt(merged, 3), undefined);
});

test('files that come are all new, files that go all old', () => {
  assert.deepEqual(merge('', [hunk('c', { kind: 'create', newLines: ['a\n', 'b'] })]).lines, ['a', 'b']);
  const gone = merge(base, [hunk('d', { kind: 'delete' })]);
  assert.deepEqual(gone.spots.map(({ start, fresh, end }) => [start, fresh, end]), [[0, 4, 4]]);
});

test('line ends of any kind are no part of a line', () => {
  const merged = merge('one\r\ntwo\r\n', [hunk('a', { oldStart: 1, newStart: 1, oldLines: ['two\r\n'], newLines: ['zwei\r\n', 'drei'] })]);
  assert.deepEqual(merged.lines, ['one', 'two', 'zwei', 'drei']);
});

test('a base that is shorter than it was when the hunk was made loses nothing else', () => {
  assert.deepEqual(merge('one\n', [change('a', 7, ['x'], 7, ['y'])]).lines, ['one', 'y']);
});

for (const [old, text, expected] of [
  ['echo "Bye"', 'echo "See you"', { old: [6, 9], text: [6, 13] }],
  ['same', 'same', { old: [4, 4], text: [4, 4] }],
  ['aa', 'aaa', { old: [2, 2], text: [2, 3] }],
  ['', 'x', { old: [0, 0], text: [0, 1] }],
] as const) {
  test(`the difference of "${old}" and "${text}"`, () => assert.deepEqual(difference(old, text), expected));
}
