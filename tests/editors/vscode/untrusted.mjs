// A folder nobody trusts yet: nothing of ours is started in it. Once it is trusted, the review is there.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from './person.mjs';
import { World } from './world.mjs';

const id = 'say-it-louder-5e1f0a';
const world = new World();
let person;
try {
  const root = world.repository('loud', { 'part.sh': '#!/bin/sh\necho "quiet"\n' }, {
    planner: [{ report: { type: 'submit_plan', plan: { tasks: [{ id, title: 'Say it louder', acceptance: ['it is loud'], verify: ['grep -q loud part.sh'] }] } } }],
    tasks: { '*': { '*': [{ replace: { path: 'part.sh', find: 'quiet', with: 'loud' } }, { report: { type: 'finished', summary: 'louder' } }] } },
  });
  for (const args of [['trust', '--yes'], ['plan', 'Say it louder'], ['approve', '--all', '--yes'], ['trust', '--yes'], ['run']]) {
    world.ralph(root, ...args);
  }
  // An extension that works without trust says when the extension host is up: ours would be, too.
  const ready = join(world.folder, 'ready');
  world.env.TEST_HOST_READY = ready;
  const settings = { 'security.workspace.trust.startupPrompt': 'never', 'security.workspace.trust.banner': 'never' };
  person = await open(await world.start({ helper: true, settings, trust: true }), root);
  await person.sees('Restricted Mode');
  await person.until('the extension host', () => existsSync(ready));
  // A command of ours is not there either; the palette is asked after the extensions were read, since it has the helper's.
  await person.until('the palette', async () => {
    await person.key('Escape');
    await person.key('F1');
    await person.page.locator('.quick-input-widget input.input').fill('>Helper: Mark', { timeout: 5000 });
    return (await person.page.locator('.quick-input-list .monaco-list-row').first().innerText({ timeout: 5000 })).includes('Helper: Mark');
  });
  await person.key('Escape');
  assert.deepEqual(world.running(), [], 'nothing of ours runs in a folder without trust');
  await person.keep('untrusted');

  await person.command('Workspaces: Manage Workspace Trust');
  await person.page.locator('.workspace-trust-editor .monaco-button', { hasText: /^Trust$/ }).first().click();
  await person.until('the language server', () => world.running('lsp').length === 1);
  await person.sees('1 hunk to review');
  await person.keep('trusted');
  console.log('passed');
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  await person?.close();
  await world.end();
}
