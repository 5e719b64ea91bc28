// What a review costs a person: keys, and milliseconds as the browser sees them, for 12 hunks in 5 files. The keys are
// checked; the milliseconds are printed, and written into docs/review.md when RALPH_BLESS is set.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from './person.mjs';
import { World } from './world.mjs';

const [FILES, HUNKS] = [5, 12];
const id = 'say-it-louder-5e1f0a';

/** The lines of a file and its hunks: 2 or 3 in each, far enough apart. */
function sources() {
  const files = {};
  const steps = [];
  let left = HUNKS;
  for (let number = 1; number <= FILES; number++) {
    const hunks = Math.ceil(left / (FILES - number + 1));
    left -= hunks;
    const path = `part-${number}.sh`;
    const lines = ['#!/bin/sh'];
    for (let hunk = 1; hunk <= hunks; hunk++) {
      lines.push(...Array.from({ length: 12 }, (_, line) => `# ${number}.${hunk}.${line}`), `echo "quiet ${number}.${hunk}"`);
      steps.push({ replace: { path, find: `quiet ${number}.${hunk}"`, with: `loud ${number}.${hunk}"` } });
    }
    files[path] = `${lines.join('\n')}\n# the end\n`;
  }
  return { files, steps };
}

/** Runs in the page: notes each key, and each frame that shows something else than the one before. */
function watch() {
  const seen = { keys: [], frames: [] };
  window.ralphSeen = seen;
  window.addEventListener('keydown', (event) => seen.keys.push({ key: event.key, at: performance.now(), focus: document.activeElement?.className ?? '' }), { capture: true });
  let last = '';
  const look = () => {
    const editor = document.querySelector('.editor-instance');
    const verdicts = [...(editor?.querySelectorAll('.view-lines span[class*="ced-"]') ?? [])]
      .filter((span) => /accepted|rejected/.test(getComputedStyle(span, '::after').content))
      .map((span) => span.closest('.view-line')?.textContent ?? '').join();
    const tab = document.querySelector('.tab.active')?.getAttribute('data-resource-name') ?? '';
    const loud = /loud/.test(editor?.querySelector('.view-lines')?.textContent ?? '');
    const top = editor?.querySelector('.margin .line-numbers')?.textContent ?? '';
    const status = document.querySelector('.part.statusbar')?.textContent ?? '';
    const state = { tab, verdicts, loud, top, done: status.includes('everything is decided') };
    if (JSON.stringify(state) !== last) {
      last = JSON.stringify(state);
      seen.frames.push({ at: performance.now(), ...state });
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];

/** Puts the table between the marks of this editor, and leaves those of others alone; returns what was there. */
function page(table) {
  const path = new URL('../../../docs/review.md', import.meta.url);
  const [begin, end] = ['<!-- VS Code: begin -->\n', '<!-- VS Code: end -->'];
  const text = readFileSync(path, 'utf8');
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  assert.ok(from >= begin.length && to >= from, 'docs/review.md has the marks of VS Code');
  if (process.env.RALPH_BLESS) {
    writeFileSync(path, `${text.slice(0, from)}${table}\n${text.slice(to)}`);
  }
  return readFileSync(path, 'utf8').slice(from, process.env.RALPH_BLESS ? undefined : to);
}

/** The steps of a table with their keys, without the milliseconds. */
const keysOf = (table) => table.split('\n').filter((row) => row.startsWith('| ')).map((row) => row.split('|').slice(1, 3).join('|').trim());

const world = new World();
let person;
try {
  const { files, steps } = sources();
  const root = world.repository('loud', files, {
    planner: [{ report: { type: 'submit_plan', plan: { tasks: [{ id, title: 'Say it louder', acceptance: ['it is loud'], verify: ['grep -q loud part-1.sh'] }] } } }],
    tasks: { '*': { '*': [...steps, { report: { type: 'finished', summary: 'louder' } }] } },
  });
  for (const args of [['trust', '--yes'], ['plan', 'Say it louder'], ['approve', '--all', '--yes'], ['trust', '--yes'], ['run']]) {
    world.ralph(root, ...args);
  }
  person = await open(await world.start(), root);
  const { page: tab } = person;
  await person.sees(`${HUNKS} hunks to review`);
  await tab.evaluate(watch);
  const seen = () => tab.evaluate(() => window.ralphSeen);
  const frame = (what, wanted) => person.until(what, async () => (await seen()).frames.find(wanted));

  // From "proposal ready" to the first hunk.
  await person.key('Control+k');
  await person.key('h');
  await frame('the first hunk', (frame) => frame.tab === 'part-1.sh' && frame.loud);
  await person.keep('costs-first');

  // One key per hunk, each as soon as the one before is seen to be decided.
  for (let decided = 1; decided <= HUNKS; decided++) {
    const { tab } = (await seen()).frames.at(-1);
    const name = steps[decided - 1].replace.find.slice(0, -1);
    await person.key('a');
    await person.until(`hunk ${decided} to be decided`, async () => {
      const now = (await seen()).frames.at(-1);
      return now.done || (now.loud && (now.tab !== tab || now.verdicts.replaceAll('\u00a0', ' ').includes(name)));
    });
    if (decided === 2) {
      await person.keep('costs-decided');
    }
  }
  await person.until('everything on disk', () => Object.keys(files).every((path) => !world.read(root, path).includes('quiet')));
  const landed = await tab.evaluate(() => performance.now());
  await person.until('the task to be done', () => world.status(root).tasks[0].state === 'done');

  const { keys, frames } = await seen();
  // Control is a key down of its own; a chord is two keys to a person.
  const pressed = keys.filter(({ key }) => key !== 'Control');
  const deciding = pressed.filter(({ key }) => key === 'a');
  assert.deepEqual(pressed.map(({ key }) => key).join(''), `kh${'a'.repeat(HUNKS)}`);
  const elsewhere = deciding.filter(({ focus }) => !/native-edit-context|inputarea/.test(focus));
  assert.deepEqual(elsewhere, [], 'the focus stays in the review');
  const begun = pressed[1].at;
  const first = frames.find((frame) => frame.at > begun && frame.tab === 'part-1.sh' && frame.loud).at - begun;
  const each = deciding.map(({ at }) => (frames.find((frame) => frame.at > at)?.at ?? landed) - at);
  const table = [
    '| step | keys | ms |', '| --- | --- | --- |',
    `| from “to review” to the first hunk on the screen | ${pressed.length - deciding.length} | ${Math.round(first)} |`,
    `| accept, the decision painted | ${deciding.length / HUNKS} | ${Math.round(median(each))}, at most ${Math.round(Math.max(...each))} |`,
    `| from the last decision to landed in the files | 0 | ${Math.round(landed - deciding.at(-1).at)} |`,
    `| everything, from “to review” to landed | ${pressed.length} |  |`,
  ].join('\n');
  console.log(table);
  console.log(each.map((value) => `${Math.round(value)} ms`).join(', '));
  assert.deepEqual(keysOf(page(table)).slice(0, 6), keysOf(table), 'the keys are those of docs/review.md; RALPH_BLESS=1 writes them');
  console.log('passed');
} catch (error) {
  console.error(error);
  console.error(JSON.stringify(await person?.page.evaluate(() => window.ralphSeen).catch(() => undefined)));
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  await person?.close();
  await world.end();
}
