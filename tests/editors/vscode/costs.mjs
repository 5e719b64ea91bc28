// What a review costs a person: keys, and milliseconds as the browser sees them, for 12 hunks in 5 files. The keys are
// checked; the milliseconds are printed, and written into docs/review.md when RALPH_BLESS is set. Beside them stands a
// control, measured in the same window: commands of another extension that do next to nothing.

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

/** Runs in the page: notes each key, and each painted frame that shows something else than the one before. */
function watch() {
  const seen = { keys: [], frames: [], moved: performance.now() };
  window.ralphSeen = seen;
  window.addEventListener('keydown', (event) => seen.keys.push({ key: event.key, at: performance.now(), focus: document.activeElement?.className ?? '' }), { capture: true });
  // What a decoration puts behind a line, by its class: asked for once, since an answer costs a layout.
  const contents = new Map();
  const isVerdict = (span) => {
    if (!contents.has(span.className)) contents.set(span.className, getComputedStyle(span, '::after').content);
    return /accepted|rejected|control/.test(contents.get(span.className));
  };
  const plain = (text) => text.replaceAll('\u00a0', ' ').replaceAll('·', ' ');
  const state = () => {
    const editor = document.querySelector('.editor-instance');
    return {
      tab: document.querySelector('.tab.active')?.getAttribute('data-resource-name') ?? '',
      verdicts: [...(editor?.querySelectorAll('.view-lines span[class*="ced-"]') ?? [])].filter(isVerdict).map((span) => plain(span.closest('.view-line')?.textContent ?? '')).sort().join(),
      text: [...new Set(plain(editor?.querySelector('.view-lines')?.textContent ?? '').match(/(loud \d|control-\d)/g))].join(),
      coloured: editor?.querySelector('.view-overlays [class*="ced-"]') !== null,
      line: editor?.querySelector('.margin .active-line-number')?.textContent ?? '',
      done: (document.querySelector('.part.statusbar')?.textContent ?? '').includes('everything is decided'),
    };
  };
  let [dirty, last] = [true, ''];
  new MutationObserver(() => {
    dirty = true;
    seen.moved = performance.now();
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  // A message posted while a frame is made comes after it was painted.
  const painted = new MessageChannel();
  painted.port1.onmessage = () => {
    if (!dirty) return;
    dirty = false;
    const now = state();
    if (JSON.stringify(now) !== last) {
      last = JSON.stringify(now);
      seen.frames.push({ at: performance.now(), ...now });
    }
  };
  const frame = () => {
    painted.port2.postMessage(0);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** The middle of all times, and the worst. */
function spread(all) {
  const sorted = [...all].sort((a, b) => a - b);
  return `${Math.round(sorted[Math.floor(sorted.length / 2)])}, at most ${Math.round(sorted.at(-1))}`;
}

/** Puts the table between the marks of this editor, and leaves those of others alone; returns what was there. */
function page(table) {
  const path = new URL('../../../docs/review.md', import.meta.url);
  const [begin, end] = ['<!-- VS Code: begin -->\n', '<!-- VS Code: end -->'];
  const text = readFileSync(path, 'utf8');
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  assert.ok(from >= begin.length && to >= from, 'docs/review.md has the marks of VS Code');
  if (process.env.RALPH_BLESS) {
    writeFileSync(path, `${text.slice(0, from)}${table}\n${text.slice(to)}`);
    return table;
  }
  return text.slice(from, to);
}

/** The steps of a table with their keys, without the milliseconds. */
const keysOf = (table) => table.split('\n').filter((row) => row.startsWith('| ')).map((row) => row.split('|').slice(1, 3).join('|').trim());

const { files, steps } = sources();
const world = new World();

/** A repository with the proposal, made in the terminal. */
function proposed(name) {
  const root = world.repository(name, files, {
    planner: [{ report: { type: 'submit_plan', plan: { tasks: [{ id, title: 'Say it louder', acceptance: ['it is loud'], verify: ['grep -q loud part-1.sh'] }] } } }],
    tasks: { '*': { '*': [...steps, { report: { type: 'finished', summary: 'louder' } }] } },
  });
  for (const args of [['trust', '--yes'], ['plan', 'Say it louder'], ['approve', '--all', '--yes'], ['trust', '--yes'], ['run']]) {
    world.ralph(root, ...args);
  }
  return root;
}

/** What the page noted, and the keys that are timed in it. */
class Watched {
  constructor(person) {
    this.person = person;
  }

  seen() {
    return this.person.page.evaluate(() => window.ralphSeen);
  }

  /** The last frame, and how long nothing has moved since. */
  now() {
    return this.person.page.evaluate(() => ({ ...window.ralphSeen.frames.at(-1), still: performance.now() - window.ralphSeen.moved }));
  }

  /** What came of the key before is over: the window has come to rest. */
  async rest() {
    await this.person.until('the window to rest', async () => (await this.now()).still > 400);
  }

  /** Presses a key and returns the milliseconds until the first frame that shows what is `wanted`. */
  async timed(what, key, wanted) {
    const before = await this.now();
    await this.person.key(key);
    const isThere = (frame) => wanted(frame, before);
    await this.person.until(what, async () => isThere(await this.now()));
    const { keys, frames } = await this.seen();
    const { at } = keys.findLast((pressed) => pressed.key === key);
    return frames.find((frame) => frame.at > at && isThere(frame)).at - at;
  }
}

/** Reviews everything; returns the times of each decision, those that stay in a file and those that lead to another. */
async function review(watched, root, pause) {
  const { person } = watched;
  await person.sees(`${HUNKS} hunks to review`);
  await person.page.evaluate(watch);
  await watched.rest();
  await person.key('Control+k');
  const first = await watched.timed('the first hunk', 'h', (frame) => frame.tab === 'part-1.sh' && frame.coloured && frame.text.includes('loud 1'));
  const [stays, goes] = [[], []];
  for (const [index, { replace: { path, find } }] of steps.entries()) {
    if (pause) {
      await watched.rest();
      // The server has heard of all before, and the tree shows it.
      await person.until('the count', async () => new RegExp(`\\b${HUNKS - index} hunks? to review`).test(await person.text()));
      await watched.rest();
    }
    const next = steps[index + 1]?.replace.path;
    const hunk = find.slice(0, -1);
    if (next === path) {
      stays.push(await watched.timed(`${hunk} to be decided`, 'a', (frame, before) => frame.verdicts.includes(hunk) && frame.line !== before.line));
    } else if (next) {
      goes.push(await watched.timed(`${next} after ${hunk}`, 'a', (frame) => frame.tab === next && frame.coloured && frame.text.includes(`loud ${/\d/.exec(next)[0]}`)));
    } else {
      await watched.timed('everything to be decided', 'a', (frame) => frame.done);
    }
    if (index === 1) {
      await person.keep(`costs-decided${pause ? '' : '-fast'}`);
    }
  }
  await person.until('everything on disk', () => Object.keys(files).every((path) => !world.read(root, path).includes('quiet')));
  const { keys } = await watched.seen();
  const landed = (await person.page.evaluate(() => performance.now())) - keys.at(-1).at;
  await person.until('the task to be done', () => world.status(root).tasks[0].state === 'done');
  // Control is a key down of its own; a chord is two keys to a person.
  const pressed = keys.filter(({ key }) => key !== 'Control');
  assert.deepEqual(pressed.map(({ key }) => key).join(''), `kh${'a'.repeat(HUNKS)}`);
  const elsewhere = pressed.slice(2).filter(({ focus }) => !/native-edit-context|inputarea/.test(focus));
  assert.deepEqual(elsewhere, [], 'the focus stays in the review');
  return { first, stays, goes, landed, keys: pressed.length };
}

/** The same number of keys, each of which does the least that can be done. */
async function control(watched, { stays, goes }) {
  const { person } = watched;
  await person.command('Helper: Open the Control');
  await person.until('the control', async () => (await watched.now()).text.includes('control-0'));
  const [marks, shows] = [[], []];
  for (const [number] of goes.entries()) {
    for (let left = Math.ceil((stays.length - marks.length) / (goes.length - number)); left > 0; left--) {
      await watched.rest();
      marks.push(await watched.timed('the mark', 'm', (frame, before) => frame.verdicts !== before.verdicts && frame.line !== before.line));
    }
    await watched.rest();
    const next = `control-${number + 1}`;
    shows.push(await watched.timed(next, 'n', (frame) => frame.tab === `${next}.sh` && frame.coloured && frame.text.includes(next)));
  }
  return { marks, shows };
}

let person;
try {
  const [root, again] = ['loud', 'again'].map(proposed);
  const address = await world.start({ helper: true });
  person = await open(address, root);
  const watched = new Watched(person);
  const calm = await review(watched, root, true);
  const least = await control(watched, calm);
  await person.close();
  person = await open(address, again);
  const fast = await review(new Watched(person), again, false);
  const table = [
    '| step | keys | ms |', '| --- | --- | --- |',
    `| from “to review” to the first hunk on the screen | ${calm.keys - HUNKS} | ${Math.round(calm.first)} |`,
    `| accept, next hunk in the same file | 1 | ${spread(calm.stays)} |`,
    `| control: a command that paints one mark and moves the cursor | 1 | ${spread(least.marks)} |`,
    `| accept, next hunk in another file | 1 | ${spread(calm.goes)} |`,
    `| control: a command that shows another document, a line coloured | 1 | ${spread(least.shows)} |`,
    `| accept, each key as soon as the one before is painted | 1 | ${spread([...fast.stays, ...fast.goes])} |`,
    `| from the last decision to landed in the files | 0 | ${Math.round(calm.landed)} |`,
    `| everything, from “to review” to landed | ${calm.keys} |  |`,
  ].join('\n');
  console.log(table);
  for (const [what, times] of Object.entries({ ...calm, ...least, 'fast, same file': fast.stays, 'fast, another file': fast.goes }).filter(([, times]) => Array.isArray(times))) {
    console.log(`${what}: ${times.map(Math.round).join(', ')} ms`);
  }
  assert.deepEqual(keysOf(page(table)), keysOf(table), 'the keys are those of docs/review.md; RALPH_BLESS=1 writes them');
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
