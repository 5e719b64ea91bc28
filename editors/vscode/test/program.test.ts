import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find, problem } from '../src/program';

const places = { setting: '', extension: '/ext', path: '/usr/bin::/opt/bin', home: '/home/ada' };
const having = (...there: string[]) => (path: string) => there.includes(path);

test('the program is looked for where it may be, the surest place first', () => {
  const everywhere = ['/ext/bin', '/usr/bin', '/opt/bin', '/home/ada/.cargo/bin', '/home/ada/.local/bin'].map((folder) => `${folder}/ralph-sidecar`);
  for (let first = 0; first < everywhere.length; first++) {
    assert.equal(find(places, having(...everywhere.slice(first))), everywhere[first]);
  }
  assert.equal(find(places, having()), 'ralph-sidecar', 'its name, for the message');
  assert.equal(find({ ...places, setting: ' /own/ralph ' }, having(...everywhere)), '/own/ralph', 'the setting, whatever else there is');
});

test('what is wrong with a program names the way to mend it', async () => {
  assert.equal(await problem(process.execPath), undefined);
  assert.match((await problem('/nowhere/ralph-sidecar')) ?? '', /ENOENT.*cargo install --path \..*ralph\.path/s);
  assert.match((await problem('/bin/false')) ?? '', /`\/bin\/false --version` ended with 1/);
});
