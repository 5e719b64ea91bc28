// A repository of its own for one test, with an agent that follows a script, and a workbench that serves it.

import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const need = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: run tests/run editors`); })();

export const PROGRAM = need('TEST_PROGRAM');

const settings = {
  'workbench.startupEditor': 'none', 'telemetry.telemetryLevel': 'off', 'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false, 'extensions.ignoreRecommendations': true, 'update.mode': 'none',
  'workbench.enableExperiments': false, 'workbench.tips.enabled': false, 'editor.minimap.enabled': false,
  'chat.disableAIFeatures': true, 'chat.commandCenter.enabled': false, 'git.enabled': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden', 'typescript.disableAutomaticTypeAcquisition': true,
  'editor.cursorBlinking': 'solid', 'window.restoreWindows': 'none', 'files.hotExit': 'off',
  'files.simpleDialog.enable': true, 'workbench.reduceMotion': 'on', 'workbench.colorTheme': process.env.TEST_THEME ?? 'Default Dark Modern',
  'window.autoDetectColorScheme': false, 'remote.autoForwardPorts': false, 'comments.openView': 'never', 'editor.fontFamily': 'DejaVu Sans Mono',
};

/** A port nobody listens on now. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
    server.on('error', reject);
  });
}

export class World {
  constructor() {
    // A short path: sockets live below it.
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'ralph-vs-')));
    for (const name of ['home', 'run', 'user/User', 'user/Machine', 'extensions', 'tmp']) {
      mkdirSync(join(this.folder, name), { recursive: true });
    }
    const own = Object.entries(process.env).filter(([name]) => !/^(GIT_|RALPH_|XDG_|VSCODE_|NODE_)/.test(name));
    this.env = {
      ...Object.fromEntries(own),
      HOME: join(this.folder, 'home'), XDG_RUNTIME_DIR: join(this.folder, 'run'), TMPDIR: join(this.folder, 'tmp'),
      RALPH_STATE_HOME: join(this.folder, 'state'), RALPH_CONFIG_HOME: join(this.folder, 'config'),
      RALPH_ENGINE_IDLE_SECONDS: '0', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null',
      GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.org', GIT_COMMITTER_NAME: 'Ada',
      GIT_COMMITTER_EMAIL: 'ada@example.org', EXTENSIONS_GALLERY: '{}',
    };
  }

  /** Makes a repository, committed and clean, with the scripted agent and `more` configured for it alone. */
  repository(name, files, script, more = {}) {
    const root = join(this.folder, name);
    const all = {
      ...files,
      'script.json': JSON.stringify({ version: 1, ...script }),
      '.ralph/config.json': JSON.stringify({ version: 1, agents: { actor: { kind: 'scripted', script: 'script.json' } }, chains: { implementer: ['actor'], ...more.chains }, ...(more.reviewer && { reviewer: more.reviewer }) }),
    };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    for (const args of [['init', '-q', '-b', 'main'], ['add', '-A'], ['commit', '-qm', 'Start']]) {
      execFileSync('git', args, { cwd: root, env: this.env });
    }
    return root;
  }

  /** Runs the program and returns what it printed, whatever its exit code. */
  ralph(root, ...args) {
    try {
      return execFileSync(PROGRAM, args, { cwd: root, env: this.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      return `${error.stdout}${error.stderr}`;
    }
  }

  status(root) {
    return JSON.parse(this.ralph(root, 'status', '--json'));
  }

  read(root, path) {
    return readFileSync(join(root, path), 'utf8');
  }

  /**
   * Starts the workbench with the extension; resolves with its address. With `helper` the extension of the tests is there
   * as well, with `settings` more of these count, and only with `trust` the person is asked whether they trust a folder.
   */
  async start({ helper = false, settings: more = {}, trust = false } = {}) {
    const [server, node] = [need('TEST_CODE_SERVER'), need('TEST_NODE')];
    writeFileSync(join(this.folder, 'user/User/settings.json'), JSON.stringify({ ...settings, ...more }));
    if (helper) {
      // A folder that is there before anything was installed counts as installed.
      cpSync(new URL('helper', import.meta.url), join(this.folder, 'extensions/ralph-tests.helper-0.0.1'), { recursive: true });
    }
    // A setting of the machine the files are on. It comes after the extension has started, which must not matter.
    writeFileSync(join(this.folder, 'user/Machine/settings.json'), JSON.stringify({ 'ralph.path': PROGRAM }));
    writeFileSync(join(this.folder, 'server.yaml'), 'auth: none\n');
    const entry = join(server, 'out/node/entry.js');
    const common = ['--config', join(this.folder, 'server.yaml'), '--user-data-dir', join(this.folder, 'user'), '--extensions-dir', join(this.folder, 'extensions')];
    execFileSync(node, [entry, ...common, '--install-extension', need('TEST_VSIX'), '--force'], { env: this.env, stdio: 'ignore' });
    const port = await freePort();
    this.server = spawn(node, [entry, ...common, '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry',
      '--disable-update-check', ...(trust ? [] : ['--disable-workspace-trust']), '--disable-getting-started-override', '--disable-file-downloads',
      '--reconnection-grace-time', '5'], { env: this.env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = [];
    await new Promise((resolve, reject) => {
      const hear = (chunk) => {
        said.push(String(chunk));
        if (said.join('').includes('HTTP server listening')) resolve();
      };
      this.server.stdout.on('data', hear);
      this.server.stderr.on('data', hear);
      this.server.on('exit', (code) => reject(new Error(`the workbench's server ended with ${code}: ${said.join('')}`)));
    });
    this.address = `http://127.0.0.1:${port}`;
    return this.address;
  }

  /** The command lines of our programs that run in this world, of those that have all the words. */
  running(...words) {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const isHere = readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${this.folder}/`);
        return isHere && /ralph[^/]*$/.test(line[0]) && words.every((word) => line.includes(word)) ? [line.join(' ')] : [];
      } catch {
        // It ended meanwhile.
        return [];
      }
    });
  }

  /** Ends everything that was started, and removes the folder. */
  async end() {
    if (this.server?.pid) {
      const gone = new Promise((resolve) => this.server.on('exit', resolve));
      process.kill(-this.server.pid, 'SIGTERM');
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 5000))]);
      try {
        process.kill(-this.server.pid, 'SIGKILL');
      } catch {
        // It is gone.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
