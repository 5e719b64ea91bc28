// Two folders in one window: each has its own engine, and the review goes through both.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from './person.mjs';
import { World } from './world.mjs';

const world = new World();
let person;

/** A repository with a proposal of one hunk, made in the terminal. */
function withProposal(name) {
  const id = `say-${name}-5e1f0a`;
  const root = world.repository(name, { [`${name}.sh`]: `#!/bin/sh\necho "nothing yet"\n` }, {
    planner: [{ report: { type: 'submit_plan', plan: { tasks: [{
      id, title: `Say ${name}`, acceptance: ['it does'], verify: [`sh ${name}.sh | grep ${name}`],
    }] } } }],
    tasks: { '*': { '*': [
      { replace: { path: `${name}.sh`, find: 'nothing yet', with: `says ${name}` } },
      { report: { type: 'finished', summary: 'said' } },
    ] } },
  });
  for (const args of [['trust', '--yes'], ['plan', `Say ${name}`], ['approve', '--all', '--yes'], ['trust', '--yes'], ['run']]) {
    world.ralph(root, ...args);
  }
  return root;
}

try {
  const roots = ['first', 'second'].map(withProposal);
  const workspace = join(world.folder, 'both.code-workspace');
  writeFileSync(workspace, JSON.stringify({ folders: roots.map((path) => ({ path })) }));
  // With git's own extension beside ours, which the other tests do without.
  person = await open(await world.start({ settings: { 'git.enabled': true } }), workspace);
  const badge = (count) => person.until(`the badge ${count}`, async () => (await person.page.locator('.activitybar .action-item', { has: person.page.locator('[aria-label^="Ralph"]') }).locator('.badge-content').allInnerTexts()).join() === count);
  await person.command('View: Show Ralph');
  await person.sees('Say first');
  await person.sees('Say second');
  await badge('2');
  await person.keep('two-folders');
  await person.command('Ralph: Review Next');
  await person.until('the review of the first folder', async () => (await person.tab()).includes('first.sh'));
  await person.sees('says first');
  await person.key('r');
  await person.until('the review of the second folder', async () => (await person.tab()).includes('second.sh'));
  await person.sees('says second');
  await person.until('the rejection', () => world.status(roots[0]).proposals[0]?.hunks[0].state === 'rejected');
  await person.key('a');
  await person.until('second on disk', () => world.read(roots[1], 'second.sh').includes('says second'));
  await person.until('second to be done', () => world.status(roots[1]).tasks[0].state === 'done');
  await badge('1');
  // What was rejected before, in the other folder, has to go somewhere.
  await person.sees('1 rejected');
  await person.keep('two-folders-rest');
  await person.press('Send Back');
  await person.input('do differently', 'in one word');
  await person.until('the next attempt at first', () => world.status(roots[0]).tasks[0].state === 'ready');
  await badge('');
  assert.equal(world.read(roots[0], 'first.sh'), '#!/bin/sh\necho "nothing yet"\n');
  console.log('passed');
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  await person?.close();
  await world.end();
}
