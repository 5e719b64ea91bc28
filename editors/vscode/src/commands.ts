// Every command of the palette, the lenses, the view and the keys. Each takes the server's own parameters, a node of the
// view, or nothing, and finds out what it is about.

import * as vscode from 'vscode';
import { Deciding } from './deciding';
import { isWaiting } from './labels';
import type { Model } from './model';
import { run } from './program';
import type { Place } from './proposals';
import type { DecisionStatus, TaskStatus } from './protocol';
import type { Review } from './review';
import type { Server } from './server';
import { type Argument, firstOf, isNode, pathOf, target, type Target, tasksOf } from './targets';
import { type Said, Threads } from './threads';

export class Commands {
  private readonly deciding: Deciding;

  constructor(
    private readonly server: Server,
    private readonly model: Model,
    private readonly review: Review,
    private readonly restart: () => Promise<void>,
  ) {
    this.deciding = new Deciding(server, model, review, (argument, title, wanted) => this.pickTask(argument, title, wanted));
  }

  register(): vscode.Disposable[] {
    const { deciding } = this;
    const threads = new Threads(this.review, deciding);
    const all: Record<string, (argument?: Argument) => Promise<unknown>> = {
      plan: (argument) => this.plan(target(argument)),
      revisePlan: (argument) => this.withText(target(argument), 'instructions', 'What has to be different?', 'ralph/revisePlan'),
      approve: (argument) => this.approve(target(argument)),
      drop: (argument) => this.onTasks(argument, 'ralph/drop', 'Drop which task?', () => true),
      start: (argument) => this.server.command('ralph/start', target(argument)),
      pause: (argument) => this.server.command('ralph/pause', target(argument)),
      resume: (argument) => this.server.command('ralph/resume', target(argument)),
      stop: (argument) => this.server.command('ralph/stop', target(argument)),
      retry: (argument) => this.onTask(argument, 'ralph/retry', 'Retry which task?', (task) => ['blocked', 'review', 'ready'].includes(task.state)),
      retryNow: (argument) => this.server.command('ralph/resume', { ...this.waiting(), ...target(argument) }),
      steer: (argument) => this.steer(argument),
      ask: (argument) => this.askAgent(argument),
      answer: (argument) => this.answer(target(argument)),
      accept: (argument) => deciding.accept(target(argument)),
      acceptFile: () => deciding.acceptFile(),
      acceptTask: (argument) => deciding.acceptTask(argument),
      reject: (argument) => deciding.reject(target(argument)),
      rejectWhy: (argument) => deciding.rejectWhy(target(argument)),
      comment: (argument) => deciding.comment(target(argument)),
      sendBack: (argument) => deciding.sendBack(argument),
      keepAccepted: (argument) => deciding.keepAccepted(argument),
      dropRest: (argument) => deciding.dropRest(argument),
      rebase: (argument) => deciding.rebase(argument),
      land: (argument) => deciding.land(argument),
      undo: (argument) => deciding.undo(argument),
      addComment: (argument) => threads.add(argument as unknown as vscode.CommentReply),
      dropComment: (argument) => this.dropComment(threads, argument),
      trust: (argument) => this.server.command('ralph/trust', target(argument)),
      review: (argument) => this.reviewNext(argument),
      reviewAll: (argument) => this.overview(argument),
      proposal: (argument) => this.reviewNext(argument),
      sideBySide: (argument) => this.sideBySide(target(argument)),
      nextHunk: () => this.review.move(1),
      previousHunk: () => this.review.move(-1),
      showLog: (argument) => this.showLog(argument),
      doctor: () => this.doctor(),
      openQueue: () => this.openQueue(),
      refresh: () => this.model.refresh(),
      restart: () => this.restart(),
      explain: () => this.server.explain(),
      status: () => Promise.resolve(vscode.commands.executeCommand('ralph.tasks.focus')),
    };
    const commands = Object.entries(all).map(([name, handler]) =>
      vscode.commands.registerCommand(`ralph.${name}`, async (argument?: Argument) => {
        try {
          return await handler(argument);
        } catch (error) {
          void this.server.explain((error as Error).message);
          return undefined;
        }
      }),
    );
    return [threads, ...commands];
  }

  /** Takes a comment back: from its thread, or from the view. */
  private dropComment(threads: Threads, argument: Argument): Promise<unknown> {
    return isNode(argument) && argument.kind === 'comment'
      ? this.deciding.sayComment({ root: argument.root, task: argument.task.id, drop: argument.comment.id })
      : threads.drop(argument as unknown as Said);
  }

  /** With what the person looks at as context: the selection, and the problems in it. */
  private async plan(given: Target): Promise<unknown> {
    if (given.goal || given.todo) {
      return this.server.command('ralph/plan', given);
    }
    const editor = vscode.window.activeTextEditor;
    const context = [...((given.context as object[] | undefined) ?? [])];
    let about = '';
    if (context.length === 0 && editor?.document.uri.scheme === 'file') {
      const { document, selection } = editor;
      const problems = vscode.languages.getDiagnostics(document.uri).filter((found) => found.source !== 'ralph' && found.range.contains(selection.active));
      if (!selection.isEmpty) {
        about = ` about lines ${selection.start.line + 1} to ${selection.end.line + 1} of ${vscode.workspace.asRelativePath(document.uri)}`;
        context.push({ uri: document.uri.toString(), startLine: selection.start.line, endLine: selection.end.line, text: document.getText(selection) });
      }
      context.push(...problems.map((found) => ({ uri: document.uri.toString(), startLine: found.range.start.line, endLine: found.range.end.line, text: found.message })));
    }
    const goal = await vscode.window.showInputBox({
      title: 'Ralph: Plan',
      prompt: `What is to be done${about}?`,
      placeHolder: 'Durations must not panic on bad input',
      ignoreFocusOut: true,
    });
    return goal ? this.server.command('ralph/plan', { ...given, goal, context }) : undefined;
  }

  private async withText(given: Target, field: string, prompt: string, method: string): Promise<unknown> {
    const text = (given[field] as string | undefined) ?? (await vscode.window.showInputBox({ prompt, ignoreFocusOut: true }));
    return text ? this.server.command(method, { ...given, [field]: text }) : undefined;
  }

  /** Lenses name their task; from the palette the person picks among the drafts, all of them picked. */
  private async approve(given: Target): Promise<unknown> {
    const named = given.tasks ?? (given.task ? [given.task] : undefined);
    if (named && named.length > 0) {
      return this.server.command('ralph/approve', { ...given, tasks: named });
    }
    const drafts = this.tasks((task) => task.state === 'draft');
    if (drafts.length === 0) {
      return vscode.window.setStatusBarMessage('Ralph: there is no draft to approve', 5000);
    }
    const picked = await vscode.window.showQuickPick(
      drafts.map(({ root, task }) => ({ label: task.title, description: task.id, picked: true, root, id: task.id })),
      { canPickMany: true, title: 'Ralph: Approve', placeHolder: 'Drafts that may be done' },
    );
    const root = picked?.[0]?.root;
    return root ? this.server.command('ralph/approve', { root, tasks: picked.filter((one) => one.root === root).map((one) => one.id) }) : undefined;
  }

  private tasks(wanted: (task: TaskStatus) => boolean): { root: string; task: TaskStatus }[] {
    return tasksOf(this.model.statuses, wanted);
  }

  private async pickTask(argument: Argument, title: string, wanted: (task: TaskStatus) => boolean): Promise<Target | undefined> {
    const given = target(argument);
    const named = given.task ?? given.tasks?.[0];
    if (named) {
      return { ...given, task: named };
    }
    const active = this.review.activeFile();
    if (active) {
      return { root: active.of.root, task: active.proposal.task };
    }
    const found = this.tasks(wanted);
    if (found.length <= 1) {
      return found[0] && { root: found[0].root, task: found[0].task.id };
    }
    const picked = await vscode.window.showQuickPick(
      found.map(({ root, task }) => ({ label: task.title, description: `${task.id} · ${task.state}`, detail: task.why, root, task: task.id })),
      { title: `Ralph: ${title}`, matchOnDescription: true },
    );
    return picked && { root: picked.root, task: picked.task };
  }

  private async onTask(argument: Argument, method: string, title: string, wanted: (task: TaskStatus) => boolean): Promise<unknown> {
    const found = await this.pickTask(argument, title, wanted);
    return found && this.server.command(method, found);
  }

  private async onTasks(argument: Argument, method: string, title: string, wanted: (task: TaskStatus) => boolean): Promise<unknown> {
    const found = await this.pickTask(argument, title, wanted);
    return found && this.server.command(method, { root: found.root, tasks: found.tasks ?? [found.task] });
  }

  /** The folder whose run waits for an agent. */
  private waiting(): Target {
    const found = [...this.model.statuses].find(([, status]) => status.run && isWaiting(status.run));
    return found ? { root: found[0] } : {};
  }

  /** A question to the agent at work; its reply is a message of the server. */
  private async askAgent(argument: Argument): Promise<unknown> {
    const isRunning = (task: TaskStatus) => task.state === 'running';
    // The task whose review is open is seldom the one somebody works on.
    const given = target(argument).task ? argument : this.onlyTask(isRunning);
    const found = await this.pickTask(given, 'Ask the agent of which task?', isRunning);
    if (!found) {
      return vscode.window.setStatusBarMessage('Ralph: nobody is at work who could be asked', 5000);
    }
    return this.withText({ ...found, ask: true }, 'text', `What do you ask the agent of ${found.task}?`, 'ralph/steer');
  }

  private onlyTask(wanted: (task: TaskStatus) => boolean): Target | undefined {
    const found = this.tasks(wanted);
    return found.length === 1 && found[0] ? { root: found[0].root, task: found[0].task.id } : undefined;
  }

  private async steer(argument: Argument): Promise<unknown> {
    // The server's action to ask the agent is this command with `ask`.
    if (target(argument).ask) {
      return this.askAgent(argument);
    }
    const found = await this.pickTask(argument, 'Steer which task?', (task) => ['running', 'ready', 'waiting', 'blocked'].includes(task.state));
    return found && this.withText(found, 'text', `What should the agent of ${found.task} know?`, 'ralph/steer');
  }

  /** Options with their details, and a text of one's own. */
  private async answer(given: Target): Promise<unknown> {
    if (given.option || given.text || given.askText) {
      return this.server.command('ralph/answer', given);
    }
    const open = [...this.model.statuses].flatMap(([root, status]) => status.decisions.map((decision) => ({ root, decision })));
    const found = open.find(({ decision }) => !given.decision || decision.id === given.decision);
    if (!found) {
      return vscode.window.setStatusBarMessage('Ralph: no question is open', 5000);
    }
    const answer = await this.ask(found.decision);
    return answer && this.server.command('ralph/answer', { root: found.root, decision: found.decision.id, ...answer });
  }

  private async ask(decision: DecisionStatus): Promise<{ option: string } | { text: string } | undefined> {
    const options = decision.options.map((option) => ({
      label: option.label,
      description: option.label === decision.recommended ? 'recommended' : undefined,
      detail: option.detail || undefined,
      own: false,
    }));
    const own = { label: 'Answer with text…', description: undefined, detail: undefined, own: true };
    const picked = await vscode.window.showQuickPick([...options, own], {
      title: decision.task ? `Ralph: ${decision.task}` : 'Ralph',
      placeHolder: decision.question,
      ignoreFocusOut: true,
    });
    if (!picked?.own) {
      return picked && { option: picked.label };
    }
    const text = await vscode.window.showInputBox({ prompt: decision.question, ignoreFocusOut: true });
    return text ? { text } : undefined;
  }

  /** The first hunk that waits: of the file, of the task, or of all. */
  private async reviewNext(argument: Argument): Promise<void> {
    const waits = (place: Place) => this.model.markOf(place.hunk) === 'pending';
    const first = () => firstOf(this.model.places(), waits, target(argument), pathOf(argument));
    // What is known is shown at once; only where nothing is, the server is asked.
    let wanted = first();
    if (!wanted) {
      await this.model.refresh();
      wanted = first();
    }
    if (!wanted && this.server.health === 'failed') {
      return this.server.explain();
    }
    if (wanted) {
      await this.review.show(wanted);
    } else {
      vscode.window.setStatusBarMessage('Ralph: nothing waits for review', 5000);
    }
  }

  /** Every file of a proposal in one editor. */
  private async overview(argument: Argument): Promise<void> {
    const found = await this.pickTask(argument, 'Look at which proposal?', (task) => task.state === 'review');
    const proposal = found?.root && found.task ? this.model.proposal(found.root, found.task) : undefined;
    if (!proposal) {
      return;
    }
    // The same path on both sides, else each file shows as a rename.
    const resources = proposal.files.map((file) => [vscode.Uri.parse(file.uri), vscode.Uri.parse(file.baseUri), vscode.Uri.parse(file.proposalUri)]);
    const round = proposal.round > 1 ? ` (round ${proposal.round})` : '';
    await vscode.commands.executeCommand('vscode.changes', `${proposal.task}: ${proposal.title}${round}`, resources);
  }

  private async sideBySide(given: Target): Promise<void> {
    const named = given.hunks?.[0];
    const place = named ? this.model.places().find((place) => place.hunk.id === named) : this.review.target();
    if (!place) {
      vscode.window.setStatusBarMessage('Ralph: no hunk is here', 5000);
      return;
    }
    const title = `${place.file.path} (${place.proposal.task})`;
    await vscode.commands.executeCommand('vscode.diff', vscode.Uri.parse(place.file.baseUri), vscode.Uri.parse(place.file.proposalUri), title);
  }

  private async showLog(argument: Argument): Promise<void> {
    if (isNode(argument) && argument.kind === 'attempt') {
      return this.open(argument.attempt.transcriptUri);
    }
    const found = await this.pickTask(argument, 'Log of which task?', (task) => task.attempts.length > 0);
    const task = this.tasks((task) => task.id === found?.task)[0]?.task;
    const last = task?.attempts[task.attempts.length - 1];
    if (last) {
      await this.open(last.transcriptUri);
    }
  }

  private async open(uri: string): Promise<void> {
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(vscode.Uri.parse(uri)));
  }

  private async doctor(): Promise<void> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
    const { text } = await run(this.server.path, ['doctor'], folder);
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content: text, language: 'plaintext' }));
  }

  private async openQueue(): Promise<void> {
    const folder = vscode.workspace.workspaceFolders?.[0];
    if (folder) {
      await vscode.window.showTextDocument(vscode.Uri.joinPath(folder.uri, '.ralph', 'queue.json'));
    }
  }
}
