// The first plan in a repository that has no configuration: the agents of the machine are found, one screen says what would
// be started, and the keys it takes are counted and compared with docs/review.md.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { open } from './person.mjs';
import { World } from './world.mjs';

const tasks = [{ id: 'greet-5e1f0a', title: 'Greet by name', acceptance: ['it greets by name'], verify: ['sh greet.sh Ada | grep Ada'] }];

/** An Ollama with one model, which answers any question with the plan. */
function ollama() {
  const answers = {
    '/api/version': () => ({ version: '0.9.0' }),
    '/api/tags': () => ({ models: [{ name: 'planner:7b' }] }),
    '/api/show': () => ({ capabilities: ['completion', 'tools'], model_info: { 'llama.context_length': 65536 } }),
    '/api/chat': ({ messages }) => {
      const isTold = messages.some(({ role }) => role === 'tool');
      const call = { function: { name: 'submit_plan', arguments: { tasks } } };
      return { model: 'planner:7b', done: true, done_reason: 'stop', message: { role: 'assistant', content: isTold ? 'It is planned.' : '', ...(!isTold && { tool_calls: [call] }) } };
    },
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const answer = answers[request.url];
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ? answer(body ? JSON.parse(body) : {}) : {}));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const world = new World();
let person;
let model;
try {
  model = await ollama();
  // No agent of this machine, and the model of the test.
  const bin = join(world.folder, 'bin');
  mkdirSync(bin);
  for (const tool of ['git', 'sh', 'env', 'uname', 'dirname', 'readlink', 'sed', 'grep', 'cat', 'ls', 'ps', 'which', 'true', 'bash']) {
    const path = execFileSync('sh', ['-c', `command -v ${tool} || true`], { encoding: 'utf8' }).trim();
    if (path.startsWith('/')) execFileSync('ln', ['-s', path, join(bin, tool)]);
  }
  Object.assign(world.env, { PATH: bin, OLLAMA_HOST: `http://127.0.0.1:${model.address().port}` });
  const root = join(world.folder, 'bare');
  mkdirSync(root);
  writeFileSync(join(root, 'greet.sh'), 'echo Hello\n');
  for (const args of [['init', '-q', '-b', 'main'], ['add', '-A'], ['commit', '-qm', 'Start']]) {
    execFileSync('git', args, { cwd: root, env: world.env });
  }
  person = await open(await world.start(), root);
  const { page } = person;
  await page.evaluate(() => {
    window.pressed = { keys: [], clicks: 0 };
    window.addEventListener('keydown', (event) => window.pressed.keys.push(event.key), { capture: true });
    window.addEventListener('mousedown', () => window.pressed.clicks++, { capture: true });
  });
  await person.until('the command in the palette', async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F1');
    const box = page.locator('.quick-input-widget input.input');
    await box.waitFor({ timeout: 5000 });
    await box.fill('>Ralph: Plan');
    await page.locator('.quick-input-list .monaco-list-row.focused .label-name').getByText('Ralph: Plan', { exact: true }).waitFor({ timeout: 5000 });
    return true;
  });
  // What follows is counted; the words are not keys but words.
  await page.evaluate(() => (window.pressed = { keys: [], clicks: 0 }));
  await person.key('Enter');
  await person.input('What is to be done', 'Greet by name');
  const dialog = page.locator('.monaco-dialog-box');
  await dialog.waitFor();
  const said = (await dialog.innerText()).replaceAll('\u00a0', ' ');
  for (const wanted of ['No agent is configured here. Found: ', 'in worktrees of its own', '• built-in', 'attempts a task']) {
    assert.ok(said.includes(wanted), `${wanted} in ${said}`);
  }
  await person.until('the first button', () => page.evaluate(() => /^Use /.test(document.activeElement?.textContent ?? '')));
  assert.ok(!existsSync(join(root, '.ralph/config.json')), 'nothing is written before the person agrees');
  await person.keep('bare');
  await person.key('Enter');
  await person.until('the draft', () => existsSync(join(root, '.ralph/queue.json')) && world.read(root, '.ralph/queue.json').includes('"draft"'));
  await person.sees('1 task was planned: Greet by name');
  await person.keep('bare-planned');
  const pressed = await page.evaluate(() => window.pressed);
  console.log(`keys: ${pressed.keys.join(', ')}; clicks: ${pressed.clicks}`);
  assert.equal(pressed.clicks, 0);
  const written = /\*Ralph: Plan\* in a repository without a configuration takes (\d+) keys/.exec(readFileSync(new URL('../../../docs/review.md', import.meta.url), 'utf8'));
  assert.equal(Number(written?.[1]), pressed.keys.length, 'the keys are those of docs/review.md');
  assert.equal(execFileSync('git', ['status', '--porcelain'], { cwd: root, env: world.env, encoding: 'utf8' }), '', 'git shows nothing of it');
  console.log('passed');
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  model?.close();
  await person?.close();
  await world.end();
}
