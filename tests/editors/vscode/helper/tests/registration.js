// What the extension brings to the editor: commands, the view, what it says where.

const EXTENSION = 'ralph-sidecar.ralph-sidecar';

exports['every command of the manifest is registered, and no other'] = async ({ vscode, assert, until }) => {
  const extension = vscode.extensions.getExtension(EXTENSION);
  await extension.activate();
  const all = (await vscode.commands.getCommands(true)).filter((name) => name.startsWith('ralph.') && !name.startsWith('ralph.tasks.'));
  const manifest = extension.packageJSON.contributes.commands.map(({ command }) => command);
  // The server's own lenses and status items name these two.
  assert.deepEqual(all.sort(), [...manifest, 'ralph.proposal', 'ralph.status'].sort());
};

exports['every menu and key names a command of the manifest'] = async ({ vscode, assert }) => {
  const { commands, menus, keybindings } = vscode.extensions.getExtension(EXTENSION).packageJSON.contributes;
  const known = new Set(commands.map(({ command }) => command));
  const named = [...Object.values(menus).flat(), ...keybindings].map(({ command }) => command);
  assert.deepEqual(named.filter((name) => !known.has(name)), []);
};

exports['the server comes up, and what waits is a diagnostic on its lines'] = async (bench) => {
  const { vscode, assert } = bench;
  const document = await vscode.workspace.openTextDocument(bench.uri('closed.sh'));
  await vscode.window.showTextDocument(document);
  const found = await bench.until('the diagnostic', () => vscode.languages.getDiagnostics(document.uri).find(({ source, code, range }) => source === 'ralph' && code === 'pending' && range.start.line === 5));
  assert.equal(found.severity, vscode.DiagnosticSeverity.Information);
  const actions = await bench.until('its quick fixes', async () => {
    const all = await vscode.commands.executeCommand('vscode.executeCodeActionProvider', document.uri, found.range);
    return all.some(({ title }) => /accept/i.test(title)) && all;
  });
  assert.ok(actions.some(({ title }) => /reject/i.test(title)), actions.map(({ title }) => title).join());
  await bench.closeAll();
};

exports['the context keys follow the run'] = async (bench) => {
  // Seen by what they show: the button in the title of the view.
  await bench.command('ralph.tasks.focus');
  const title = (name) => bench.person('count', `.pane-header .action-label[aria-label^="${name}"], .composite.title .action-label[aria-label^="${name}"]`);
  await bench.until('the button that starts', async () => (await title('Start')) === 1 && (await title('Stop')) === 0);
  await bench.command('ralph.start', { root: bench.rootUri.toString() });
  await bench.until('the button that stops', async () => (await title('Stop')) === 1 && (await title('Start')) === 0);
  bench.write('../gate', '');
  await bench.until('the end of the run', () => bench.status().run === null);
  await bench.until('the button that starts, again', async () => (await title('Start')) === 1 && (await title('Stop')) === 0);
};
