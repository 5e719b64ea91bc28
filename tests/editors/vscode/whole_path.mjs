// The main job in VS Code from a cold install: plan, approve, start, answer, review three files by keys, comment, send back,
// a second round, land, undo.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from './person.mjs';
import { World } from './world.mjs';

const TASK = 'greet-by-name-5e1f0a';
const files = {
  'greet.sh': '#!/bin/sh\n# Greets.\n\ngreet() {\n  echo "Hello!"\n}\n',
  'leave.sh': '#!/bin/sh\n# Takes leave.\n\nleave() {\n  echo "Bye"\n}\n',
  'main.sh': '#!/bin/sh\n. ./greet.sh\n. ./leave.sh\n\ngreet\nleave\n',
};
const world = new World();
const gate = join(world.folder, 'gate');
const replace = (path, find, text) => ({ replace: { path, find, with: text } });
const script = {
  planner: [{ report: { type: 'submit_plan', plan: { tasks: [{
    id: TASK, title: 'Greet by name', acceptance: ['`sh main.sh Ada` greets Ada'],
    verify: ["sh main.sh Ada | grep 'Hello, Ada!'"], files: ['*.sh'],
  }] } } }],
  reviewer: [{ report: { type: 'review', summary: 'I read it.', findings: [{ file: 'leave.sh', line: 5, text: 'nobody is dear to a program' }] } }],
  tasks: { [TASK]: {
    1: [{ report: { type: 'ask', question: 'How should it take leave?', options: ['Goodbye', 'See you'], recommend: 'See you', file: 'leave.sh', line: 5 } }],
    2: [
      { run: { command: `n=0; until [ -e '${gate}' ] || [ $n -gt 600 ]; do sleep 0.1; n=$((n + 1)); done` } },
      { report: { type: 'reply', to: 'q1', text: 'half way' } },
      replace('greet.sh', 'Hello!', 'Hello, $1!'), replace('leave.sh', 'Bye', 'See you, dear $1'),
      replace('main.sh', '\ngreet\nleave\n', '\ngreet "$1"\nleave "$1"\n'),
      { report: { type: 'finished', summary: 'It greets by name.' } },
    ],
    '*': [
      { run: { command: 'grep "too familiar" "$RALPH_PROMPT_FILE"' } },
      replace('leave.sh', 'See you, dear $1', 'See you, $1'),
      { report: { type: 'finished', summary: 'It takes leave less familiarly.' } },
    ],
  } },
};

let person;
try {
  const root = world.repository('greeter', files, script, { chains: { reviewer: ['actor'] }, reviewer: { findings: 'with-proposal' } });
  const queue = () => (existsSync(join(root, '.ralph/queue.json')) ? readFileSync(join(root, '.ralph/queue.json'), 'utf8') : '');
  const task = () => world.status(root).tasks[0];
  person = await open(await world.start(), root);

  // Plan: typed in a box; the commands that would run are shown before anything does.
  await person.command('Ralph: Plan');
  await person.input('What is to be done', 'Greet by name');
  await person.press('Trust and plan');
  await person.until('the draft on disk', () => queue().includes('"draft"'));

  // Approve and start: the drafts are picked already.
  await person.until('the draft in the list', async () => {
    await person.command('Ralph: Approve');
    return person.page.locator('.quick-input-list .monaco-list-row', { hasText: 'Greet by name' }).first().isVisible();
  });
  await person.confirm();
  await person.press('Trust and approve');
  await person.until('the approval on disk', () => queue().includes('"todo"'));
  await person.command('Ralph: Start');

  // Answer: the question waits in view and status bar; nothing asked by itself.
  await person.sees('1 question');
  await person.command('View: Show Ralph');
  await person.sees('How should it take leave?');
  await person.keep('decision');
  await person.command('Ralph: Answer');
  await person.pick('See you');

  // Ask: who is at work replies, and both stay in the view.
  await person.sees('attempt 2');
  await person.command('Ralph: Ask');
  await person.input('What do you ask the agent', 'how far are you?');
  await person.until('the question', () => task().questions.some((asked) => asked.text === 'how far are you?'));
  writeFileSync(gate, '');
  await person.sees('half way');
  await person.sees('3 hunks to review');
  await person.sees('1 to review, 0 need you, 0 failed');

  // Review: what the reviewer had something to say about comes first, old and new line together; each key decides one
  // and goes on.
  await person.press('Review');
  await person.until('the first review', async () => (await person.tab()).includes('leave.sh'));
  await person.sees('See you, dear $1');
  await person.sees('hunk 1 of 3');
  await person.sees('nobody is dear to a program');
  await person.keep('review');
  await person.key('Shift+R');
  await person.input('Why not?', 'too familiar');
  await person.until('the second review', async () => (await person.tab()).includes('greet.sh'));
  await person.sees('Hello, $1!');
  assert.equal(world.read(root, 'greet.sh'), files['greet.sh'], 'nothing is written before it is accepted');
  await person.key('a');
  await person.until('greet.sh on disk', () => world.read(root, 'greet.sh').includes('Hello, $1!'));
  await person.until('the third review', async () => (await person.tab()).includes('main.sh'));
  await person.sees('1 of 3 waiting, 1 accepted, 1 rejected');
  await person.sees('hunk 3 of 3');
  await person.keep('third-file');

  // A comment beside the line; it is there at once, and goes along.
  await person.key('c');
  await person.input('next attempt know', 'one line will do');
  await person.sees('one line will do');
  await person.sees('goes with the next send back');
  await person.keep('comment');

  // The rest goes back; what was accepted stays, and the next round shows what is new in it.
  await person.key('b');
  await person.input('do differently', '');
  await person.until('the next attempt in the queue', () => task().state === 'ready');
  await person.command('Ralph: Start');
  await person.until('the second round', () => task().state === 'review');
  await person.command('Ralph: Review Next');
  await person.until('the review of the second round', async () => /(leave|main)\.sh/.test(await person.tab()));
  await person.sees('round 2');
  await person.sees('changed since the last round');
  await person.keep('second-round');
  await person.command('Ralph: Accept All of the Task');
  await person.until('the task to be done', () => task().state === 'done');
  assert.equal(world.read(root, 'leave.sh'), files['leave.sh'].replace('Bye', 'See you, $1'));
  assert.equal(world.read(root, 'main.sh'), '#!/bin/sh\n. ./greet.sh\n. ./leave.sh\n\ngreet "$1"\nleave "$1"\n');
  await person.until('no dirty tab', async () => (await person.page.locator('.tab.dirty').count()) === 0);
  await person.keep('done');

  // Land: as a commit, which has what was accepted and nothing else; undo takes it back and leaves the files.
  const git = (...args) => execFileSync('git', args, { cwd: root, env: world.env, encoding: 'utf8' }).trim();
  const start = git('rev-parse', 'HEAD');
  await person.command('Ralph: Land');
  await person.pick('As a commit');
  await person.input('message of the commit', 'Greet by name');
  await person.until('the commit', () => git('log', '-1', '--format=%s') === 'Greet by name');
  assert.deepEqual(git('show', '--name-only', '--format=').split('\n'), ['greet.sh', 'leave.sh', 'main.sh']);
  await person.sees(git('rev-parse', '--short', 'HEAD'));
  await person.keep('landed');
  await person.command('Ralph: Undo');
  await person.until('HEAD as it was', () => git('rev-parse', 'HEAD') === start);
  assert.equal(world.read(root, 'leave.sh'), files['leave.sh'].replace('Bye', 'See you, $1'));

  // Undo again: what was written for the last accept comes back as it was.
  await person.command('Ralph: Undo');
  await person.until('main.sh or leave.sh as before', () => world.read(root, 'main.sh') === files['main.sh'] || world.read(root, 'leave.sh') === files['leave.sh']);
  await person.keep('undone');
  console.log('passed');
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  await person?.close();
  await world.end();
}
