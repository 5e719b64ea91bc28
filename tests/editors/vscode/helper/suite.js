// Plays the tests inside the extension host, one after the other, and writes a line of JSON about each into a file.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PARTS = ['registration', 'documents', 'deciding', 'rounds', 'program'];

/** What each test gets. */
class Bench {
  constructor(vscode, given) {
    Object.assign(this, given, { vscode, assert });
    this.rootUri = vscode.workspace.workspaceFolders[0].uri;
  }

  /** Waits until the condition holds; it is looked at again and again, and may fail meanwhile. */
  async until(what, condition) {
    const deadline = Date.now() + this.patience;
    let last;
    while (Date.now() < deadline) {
      try {
        const found = await condition();
        if (found) return found;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`waited in vain for ${what}${last ? `: ${last.message}` : ''}`);
  }

  /** Has the person before the window do something: a method of `Person` with its arguments. */
  async person(method, ...args) {
    const response = await fetch(this.bridge, { method: 'POST', body: JSON.stringify({ method, args }) });
    const { result, error } = await response.json();
    if (error) throw new Error(error);
    return result;
  }

  command(name, argument) {
    return this.vscode.commands.executeCommand(name, ...(argument === undefined ? [] : [argument]));
  }

  uri(file) {
    return this.vscode.Uri.joinPath(this.rootUri, file);
  }

  disk(file) {
    return fs.readFileSync(path.join(this.root, file), 'utf8');
  }

  write(file, text) {
    fs.writeFileSync(path.join(this.root, file), text);
  }

  status() {
    return JSON.parse(execFileSync(this.program, ['status', '--json'], { cwd: this.root, encoding: 'utf8' }));
  }

  task(id) {
    return this.status().tasks.find((task) => task.id === id);
  }

  proposal(id) {
    return this.status().proposals.find((proposal) => proposal.task === id);
  }

  /** The ids of a proposal's hunks, in order. */
  hunks(id) {
    return this.proposal(id).hunks.map((hunk) => hunk.id);
  }

  /** Names a task the way lenses do. */
  target(task, more = {}) {
    return { root: this.rootUri.toString(), task, ...more };
  }

  /** Waits for what was made of a hunk. A task of which all is accepted is done, and has no proposal any more. */
  marked(task, number, state) {
    const is = () => {
      const hunk = this.proposal(task)?.hunks[number];
      return hunk ? hunk.state === state : state === 'accepted' && this.task(task).state === 'done';
    };
    return this.until(`hunk ${number} of ${task} to be ${state}`, is).catch((error) => {
      const { state: now, why } = this.task(task);
      throw new Error(`${error.message}: it is ${now} (${why}), with ${JSON.stringify(this.proposal(task)?.hunks)}`);
    });
  }

  tabs() {
    return this.vscode.window.tabGroups.all.flatMap((group) => group.tabs).map((tab) => tab.label);
  }

  async closeAll() {
    await this.command('workbench.action.revertAndCloseActiveEditor').then(undefined, () => undefined);
    await this.command('workbench.action.closeAllEditors');
    await this.until('no tab', () => this.tabs().length === 0);
  }

  /** Opens the review of a file of a task, and waits until its text is there. */
  async review(task, file) {
    await this.until(`the review of ${file}`, async () => {
      await this.command('ralph.review', this.target(task));
      const document = this.vscode.window.activeTextEditor?.document;
      return document?.uri.scheme === 'ralph-review' && document.uri.path.endsWith(file) && document.lineCount > 3;
    });
    return this.vscode.window.activeTextEditor;
  }
}

exports.play = async (vscode, given) => {
  const bench = new Bench(vscode, given);
  const write = (line) => fs.appendFileSync(given.results, `${JSON.stringify(line)}\n`);
  for (const part of given.parts ?? PARTS) {
    for (const [name, test] of Object.entries(require(`./tests/${part}.js`))) {
      try {
        await test(bench);
        write({ name, passed: true });
      } catch (error) {
        write({ name, passed: false, why: error.stack ?? String(error) });
      }
    }
  }
  write({ done: true });
};
