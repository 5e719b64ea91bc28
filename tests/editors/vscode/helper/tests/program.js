// The program behind the extension: another one, a wrong one, none.

const fs = require('node:fs');
const path = require('node:path');

/** The running language servers, by the program they were started as. */
function servers() {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const [program, role] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return role === 'lsp' ? [program] : [];
    } catch {
      return [];
    }
  });
}

const set = (bench, value) => bench.vscode.workspace.getConfiguration('ralph').update('path', value, bench.vscode.ConfigurationTarget.Global);

/** Has a comment stored and taken back, which goes over the program. */
async function works(bench) {
  const { comments: before } = bench.task('talk-5e1f0a');
  await bench.command('ralph.comment', bench.target('talk-5e1f0a', { text: 'it works' }));
  const comment = await bench.until('the comment', () => bench.task('talk-5e1f0a').comments.find(({ text }) => text === 'it works'));
  await bench.command('ralph.dropComment', { of: bench.target('talk-5e1f0a', { drop: comment.id }) });
  await bench.until('no comment', () => bench.task('talk-5e1f0a').comments.length === before.length);
}

exports['another ralph.path ends the program and starts that one'] = async (bench) => {
  const other = path.join(bench.folder, 'another-ralph');
  fs.linkSync(bench.program, other);
  bench.assert.deepEqual(servers().filter((program) => program === other), []);
  await set(bench, other);
  await bench.until('the other program', () => servers().includes(other));
  await bench.until('the first to end', () => !servers().includes(bench.program));
  await works(bench);
};

exports['a program of another version names the fix'] = async (bench) => {
  const fake = path.join(bench.folder, 'newer-ralph');
  fs.writeFileSync(fake, `#!${process.execPath}
if (process.argv[2] === '--version') process.exit(0);
let read = '';
process.stdin.on('data', (chunk) => {
  read += chunk;
  const [, length, body] = /Content-Length: (\\d+)\\r\\n(?:.*\\r\\n)*\\r\\n([^]*)/.exec(read) ?? [];
  if (!length || Buffer.byteLength(body) < Number(length)) return;
  const { id } = JSON.parse(Buffer.from(body).subarray(0, Number(length)).toString());
  read = '';
  if (id === undefined) return;
  const answer = JSON.stringify({ jsonrpc: '2.0', id, result: { capabilities: { experimental: { ralph: { version: 99 } } } } });
  process.stdout.write('Content-Length: ' + Buffer.byteLength(answer) + '\\r\\n\\r\\n' + answer);
});
`, { mode: 0o755 });
  await set(bench, fake);
  await bench.command('ralph.tasks.focus');
  await bench.person('sees', 'ralph-sidecar speaks version 99 of the protocol and this extension 1: update the extension.');
  await bench.person('keep', 'wrong-version');
};

exports['a program that is not there names the fix, and the right one mends it'] = async (bench) => {
  await set(bench, path.join(bench.folder, 'no-ralph'));
  await bench.person('sees', 'installs it, or name it in the setting ralph.path.');
  await bench.person('sees', 'Try again');
  await set(bench, bench.program);
  await works(bench);
};
