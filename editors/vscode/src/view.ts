// The Ralph view: what needs the person first, then every task with its live state, attempts and hunks.

import * as vscode from 'vscode';
import type { Model } from './model';
import type { AttemptStatus, DecisionStatus, FindingStatus, QuestionStatus, RunStatus, TaskStatus } from './protocol';

export type Node =
  | { kind: 'folder'; root: string }
  | { kind: 'decision'; root: string; decision: DecisionStatus }
  | { kind: 'task'; root: string; task: TaskStatus }
  | { kind: 'attempt'; root: string; task: TaskStatus; attempt: AttemptStatus }
  | { kind: 'finding'; root: string; task: TaskStatus; finding: FindingStatus }
  | { kind: 'question'; root: string; task: TaskStatus; question: QuestionStatus }
  | { kind: 'file'; root: string; task: TaskStatus; path: string; pending: number; all: number };

const icons: Record<string, [string, string?]> = {
  draft: ['edit'],
  ready: ['circle-outline'],
  waiting: ['watch'],
  running: ['sync~spin'],
  blocked: ['question', 'list.warningForeground'],
  review: ['eye', 'charts.blue'],
  stale: ['history'],
  done: ['pass', 'testing.iconPassed'],
  dropped: ['circle-slash'],
};

/** Tells whether all agents who could go on with a run rest. */
export function isWaiting(run: RunStatus): boolean {
  return run.waitingUntilMs !== null && run.waitingUntilMs !== undefined && !run.paused;
}

/** A time left, as `12:31` or `1:02:03`; never below nothing. */
function clock(milliseconds: number): string {
  const seconds = Math.max(Math.ceil(milliseconds / 1000), 0);
  const two = (number: number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export class View implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly tree: vscode.TreeView<Node>;
  private readonly item = vscode.window.createStatusBarItem('ralph.status', vscode.StatusBarAlignment.Left, 20);
  private readonly disposables: vscode.Disposable[];
  private since = 0;
  private attempt = '';

  constructor(private readonly model: Model) {
    this.tree = vscode.window.createTreeView('ralph.tasks', { treeDataProvider: this, showCollapseAll: true });
    this.item.name = 'Ralph';
    // Elapsed time moves although nothing is sent.
    const clock = setInterval(() => this.showStatus(), 1000);
    this.disposables = [this.changed, this.tree, this.item, model.onChange(() => this.update()), { dispose: () => clearInterval(clock) }];
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private update(): void {
    this.changed.fire();
    const statuses = [...this.model.statuses.values()];
    const decisions = statuses.reduce((sum, status) => sum + status.decisions.length, 0);
    const reviews = statuses.reduce((sum, status) => sum + status.tasks.filter((task) => task.state === 'review').length, 0);
    const words = [decisions && `${decisions} ${decisions === 1 ? 'question' : 'questions'}`, reviews && `${reviews} to review`];
    this.tree.badge = decisions + reviews > 0
      ? { value: decisions + reviews, tooltip: words.filter(Boolean).join(', ') }
      : undefined;
    void vscode.commands.executeCommand('setContext', 'ralph.running', statuses.some((status) => status.run));
    void vscode.commands.executeCommand('setContext', 'ralph.waiting', statuses.some((status) => status.run && isWaiting(status.run)));
    this.showStatus();
  }

  private showStatus(): void {
    const notifications = [...this.model.notifications.values()];
    const worst = notifications.find((status) => status.health === 'error')
      ?? notifications.find((status) => status.health === 'warning')
      ?? notifications.find((status) => status.run)
      ?? notifications[0];
    if (!worst) {
      this.item.hide();
      return;
    }
    const run = notifications.find((status) => status.run)?.run;
    const attempt = run?.task ? `${run.task}#${run.attempt}` : '';
    if (attempt !== this.attempt) {
      [this.attempt, this.since] = [attempt, Date.now()];
    }
    const seconds = Math.floor((Date.now() - this.since) / 1000);
    const resting = worst.health !== 'error' && worst.run && isWaiting(worst.run) ? worst.run : undefined;
    const left = resting ? ` · ${clock((resting.waitingUntilMs ?? 0) - Date.now())}` : '';
    const elapsed = attempt ? ` ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : '';
    const icon = worst.health === 'error' ? '$(error)' : worst.health === 'warning' ? '$(question)' : resting ? '$(watch)' : run ? '$(sync~spin)' : '$(checklist)';
    this.item.text = `${icon} ${worst.message || 'Ralph'}${elapsed}${left}`;
    const last = [...this.model.statuses.values()].map((status) => status.lastRun).find((last) => last);
    const tooltip = run?.agent ? `Ralph: ${run.agent} works on ${run.task}` : resting ? `Ralph: ${resting.waitingWhy}` : 'Ralph';
    this.item.tooltip = !run && last ? `Ralph, after the last run: ${last.summary}` : tooltip;
    this.item.command = worst.decisions > 0 ? 'ralph.answer' : worst.pending > 0 ? 'ralph.review' : 'ralph.tasks.focus';
    this.item.show();
  }

  getChildren(node?: Node): Node[] {
    if (!node) {
      const roots = [...this.model.statuses.keys()].filter((root) => (this.model.statuses.get(root)?.tasks.length ?? 0) > 0);
      return roots.length > 1 ? roots.map((root) => ({ kind: 'folder', root })) : roots.flatMap((root) => this.ofFolder(root));
    }
    switch (node.kind) {
      case 'folder':
        return this.ofFolder(node.root);
      case 'task':
        return this.ofTask(node);
      default:
        return [];
    }
  }

  private ofFolder(root: string): Node[] {
    const status = this.model.statuses.get(root);
    if (!status) {
      return [];
    }
    const decisions = status.decisions.map((decision): Node => ({ kind: 'decision', root, decision }));
    return [...decisions, ...status.tasks.map((task): Node => ({ kind: 'task', root, task }))];
  }

  private ofTask(node: Node & { kind: 'task' }): Node[] {
    const paths = [...new Set(node.task.hunks.map((hunk) => hunk.path))];
    const files = paths.map((path): Node => {
      const hunks = node.task.hunks.filter((hunk) => hunk.path === path);
      return { kind: 'file', root: node.root, task: node.task, path, pending: hunks.filter((hunk) => hunk.mark === 'pending').length, all: hunks.length };
    });
    const attempts = [...node.task.attempts].reverse().map((attempt): Node => ({ kind: 'attempt', root: node.root, task: node.task, attempt }));
    const findings = (this.model.proposal(node.root, node.task.id)?.findings ?? [])
      .map((finding): Node => ({ kind: 'finding', root: node.root, task: node.task, finding }));
    const questions = [...node.task.questions].reverse().map((question): Node => ({ kind: 'question', root: node.root, task: node.task, question }));
    return [...findings, ...files, ...questions, ...attempts];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.kind) {
      case 'folder':
        return new vscode.TreeItem(vscode.Uri.parse(node.root), vscode.TreeItemCollapsibleState.Expanded);
      case 'decision':
        return this.decisionItem(node.decision, node);
      case 'task':
        return this.taskItem(node.task);
      case 'attempt':
        return this.attemptItem(node.attempt, node);
      case 'file':
        return this.fileItem(node);
      case 'finding':
        return this.findingItem(node);
      case 'question':
        return this.questionItem(node);
    }
  }

  private findingItem({ root, finding }: Node & { kind: 'finding' }): vscode.TreeItem {
    const item = new vscode.TreeItem(finding.text);
    item.description = finding.file ? `${finding.file}${finding.line ? `:${finding.line}` : ''}` : 'the reviewer';
    item.tooltip = `The reviewer: ${finding.text}`;
    item.iconPath = new vscode.ThemeIcon('comment-unresolved', new vscode.ThemeColor('list.warningForeground'));
    item.contextValue = 'finding';
    if (finding.file) {
      const line = Math.max((finding.line ?? 1) - 1, 0);
      const selection = new vscode.Range(line, 0, line, 0);
      item.command = { command: 'vscode.open', title: 'Open', arguments: [vscode.Uri.joinPath(vscode.Uri.parse(root), finding.file), { selection }] };
    }
    return item;
  }

  private questionItem({ question }: Node & { kind: 'question' }): vscode.TreeItem {
    const item = new vscode.TreeItem(question.text);
    item.description = question.answer ?? 'no reply yet';
    item.tooltip = `${question.text}\n\n${question.answer ?? 'no reply yet'}`;
    item.iconPath = new vscode.ThemeIcon('comment-discussion');
    item.contextValue = 'question';
    return item;
  }

  private decisionItem(decision: DecisionStatus, node: Node): vscode.TreeItem {
    const item = new vscode.TreeItem(decision.question);
    item.description = decision.task ?? undefined;
    item.iconPath = new vscode.ThemeIcon('question', new vscode.ThemeColor('list.warningForeground'));
    item.contextValue = 'decision';
    item.command = { command: 'ralph.answer', title: 'Answer', arguments: [node] };
    return item;
  }

  private taskItem(task: TaskStatus): vscode.TreeItem {
    const some = task.attempts.length + task.hunks.length + task.questions.length > 0;
    const item = new vscode.TreeItem(task.title, some ? vscode.TreeItemCollapsibleState.Collapsed : vscode.TreeItemCollapsibleState.None);
    const [icon, colour] = icons[task.state] ?? ['circle-outline'];
    item.id = undefined;
    item.description = task.state;
    item.tooltip = `${task.id}: ${task.why}`;
    item.iconPath = new vscode.ThemeIcon(icon, colour ? new vscode.ThemeColor(colour) : undefined);
    item.contextValue = `task-${task.state}`;
    return item;
  }

  private attemptItem(attempt: AttemptStatus, node: Node): vscode.TreeItem {
    const item = new vscode.TreeItem(`Attempt ${attempt.number}`);
    const agent = attempt.model ? `${attempt.agent}, ${attempt.model}` : attempt.agent;
    item.description = [attempt.outcome ?? 'running', agent, attempt.used].filter(Boolean).join(' · ');
    item.tooltip = attempt.detail;
    item.iconPath = new vscode.ThemeIcon(attempt.outcome === 'verified' ? 'verified' : attempt.outcome ? 'history' : 'sync~spin');
    item.contextValue = 'attempt';
    item.command = { command: 'ralph.showLog', title: 'Show Log', arguments: [node] };
    return item;
  }

  private fileItem(node: Node & { kind: 'file' }): vscode.TreeItem {
    const item = new vscode.TreeItem(vscode.Uri.joinPath(vscode.Uri.parse(node.root), node.path));
    item.description = node.pending > 0 ? `${node.pending} of ${node.all} waiting` : 'decided';
    item.contextValue = 'file';
    item.iconPath = vscode.ThemeIcon.File;
    if (node.pending > 0) {
      item.command = { command: 'ralph.review', title: 'Review', arguments: [node] };
    }
    return item;
  }
}
