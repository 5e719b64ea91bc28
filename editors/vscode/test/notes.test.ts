import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Notes } from '../src/notes';

test('a note stands until a status that was asked for after the answer', () => {
  const notes = new Notes();
  notes.add(['h1', 'h2'], 'accepted');
  const before = notes.due();
  notes.answer(['h1']);
  notes.settle(before);
  assert.deepEqual([notes.get('h1'), notes.get('h2')], ['accepted', 'accepted'], 'that status may not know of it');
  notes.settle(notes.due());
  assert.deepEqual([notes.get('h1'), notes.get('h2')], [undefined, 'accepted'], 'the other one has no answer yet');
});

test('what is decided anew is not settled by the answer before', () => {
  const notes = new Notes();
  notes.add(['h1'], 'rejected');
  notes.answer(['h1']);
  const due = notes.due();
  notes.drop(['h1']);
  notes.add(['h1'], 'accepted');
  notes.settle(due);
  assert.equal(notes.get('h1'), 'accepted');
});

test('a refusal takes a note back at once, and says whether there was one', () => {
  const notes = new Notes();
  notes.add(['h1'], 'accepted');
  assert.equal(notes.drop(['h1']), true);
  assert.equal(notes.drop(['h1']), false);
  assert.equal(notes.get('h1'), undefined);
  notes.answer(['h1']);
  assert.deepEqual(notes.due(), []);
});
