// The Ralph view: what needs the person first, then every task with its live state, attempts and hunks.

import * as vscode from 'vscode';
import {
  attemptLabel, attemptOf, badge, commentLabel, fileDescription, findingLabel, isWaiting, type Label, statusItem, taskLabel,
} from './labels';
import type { Model } from './model';
import type { AttemptStatus, CommentStatus, DecisionStatus, FindingStatus, QuestionStatus, TaskStatus } from './protocol';
import type { Server } from './server';

export type Node =
  | { kind: 'folder'; root: string }
  | { kind: 'remedy'; root: string; label: string; icon: string; command: string; argument?: string }
  | { kind: 'decision'; root: string; decision: DecisionStatus }
  | { kind: 'task'; root: string; task: TaskStatus }
  | { kind: 'attempt'; root: string; task: TaskStatus; attempt: AttemptStatus }
  | { kind: 'finding'; root: string; task: TaskStatus; finding: FindingStatus }
  | { kind: 'question'; root: string; task: TaskStatus; question: QuestionStatus }
  | { kind: 'comment'; root: string; task: TaskStatus; comment: CommentStatus }
  | { kind: 'file'; root: string; task: TaskStatus; path: string; pending: number; all: number };

// What can be done when there is no server; a tree with a message shows no welcome.
const remedies: Node[] = [
  { kind: 'remedy', root: '', label: 'Try again', icon: 'debug-restart', command: 'ralph.restart' },
  { kind: 'remedy', root: '', label: 'Open the setting ralph.path', icon: 'gear', command: 'workbench.action.openSettings', argument: 'ralph.path' },
];

// Milliseconds after the last decision until the tree follows.
const CALM = 300;

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

function item(label: Label, icon: string, colour?: string, state = vscode.TreeItemCollapsibleState.None): vscode.TreeItem {
  const made = new vscode.TreeItem(label.label, state);
  made.description = label.description;
  made.tooltip = label.tooltip;
  made.iconPath = new vscode.ThemeIcon(icon, colour ? new vscode.ThemeColor(colour) : undefined);
  return made;
}

export class View implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly tree: vscode.TreeView<Node>;
  private readonly item = vscode.window.createStatusBarItem('ralph.status', vscode.StatusBarAlignment.Left, 20);
  private readonly disposables: vscode.Disposable[];
  private since = 0;
  private attempt = '';
  private calm: NodeJS.Timeout | undefined;
  private readonly contexts = new Map<string, unknown>();

  constructor(private readonly model: Model, private readonly server: Server) {
    this.tree = vscode.window.createTreeView('ralph.tasks', { treeDataProvider: this, showCollapseAll: true });
    this.item.name = 'Ralph';
    // Elapsed time moves although nothing is sent.
    const clock = setInterval(() => this.showStatus(), 1000);
    this.disposables = [
      this.changed, this.tree, this.item, server.onChange(() => this.update()),
      // Keys that follow each other fast must not wait for a tree, neither for their own news nor for that of the key before.
      model.onChange(() => (this.calm ? undefined : this.update())),
      model.onMark(() => {
        clearTimeout(this.calm);
        this.calm = setTimeout(() => this.update(), CALM);
      }),
      { dispose: () => clearInterval(clock) },
    ];
    this.update();
  }

  dispose(): void {
    clearTimeout(this.calm);
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private update(): void {
    clearTimeout(this.calm);
    this.calm = undefined;
    this.changed.fire();
    const statuses = [...this.model.statuses.values()];
    this.tree.badge = badge(statuses);
    this.tree.message = this.message();
    const contexts = {
      'ralph.running': statuses.some((status) => status.run),
      'ralph.waiting': statuses.some((status) => status.run && isWaiting(status.run)),
      'ralph.health': this.server.health,
    };
    for (const [key, value] of Object.entries(contexts).filter(([key, value]) => this.contexts.get(key) !== value)) {
      this.contexts.set(key, value);
      void vscode.commands.executeCommand('setContext', key, value);
    }
    this.showStatus();
  }

  // What is said above the tasks.
  private message(): string | undefined {
    if (this.server.health === 'failed') {
      return this.server.problem;
    }
    if (this.server.health === 'starting') {
      return 'ralph-sidecar is starting…';
    }
    const queue = [...this.model.statuses.values()].map((status) => status.queueProblem).find((problem) => problem);
    return queue ?? [...this.model.problems.values()][0];
  }

  private showStatus(): void {
    const told = [...this.model.notifications.values()];
    const attempt = attemptOf(told);
    if (attempt !== this.attempt) {
      [this.attempt, this.since] = [attempt, Date.now()];
    }
    const last = [...this.model.statuses.values()].map((status) => status.lastRun).find((last) => last) ?? undefined;
    const shown = this.server.health === 'failed'
      ? { text: '$(error) Ralph', tooltip: `Ralph: ${this.server.problem}`, command: 'ralph.explain' }
      : statusItem(told, last, this.since, Date.now());
    if (!shown) {
      this.item.hide();
      return;
    }
    Object.assign(this.item, shown);
    this.item.show();
  }

  getChildren(node?: Node): Node[] {
    if (!node && this.server.health === 'failed') {
      return remedies;
    }
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

  private ofTask({ root, task }: Node & { kind: 'task' }): Node[] {
    const files = new Map<string, { pending: number; all: number }>();
    for (const hunk of task.hunks) {
      const file = files.get(hunk.path) ?? { pending: 0, all: 0 };
      file.all++;
      file.pending += hunk.mark === 'pending' ? 1 : 0;
      files.set(hunk.path, file);
    }
    const proposal = this.model.proposal(root, task.id);
    return [
      ...(proposal?.findings ?? []).map((finding): Node => ({ kind: 'finding', root, task, finding })),
      ...[...files].map(([path, counts]): Node => ({ kind: 'file', root, task, path, ...counts })),
      ...(proposal?.comments ?? []).map((comment): Node => ({ kind: 'comment', root, task, comment })),
      ...[...task.questions].reverse().map((question): Node => ({ kind: 'question', root, task, question })),
      ...[...task.attempts].reverse().map((attempt): Node => ({ kind: 'attempt', root, task, attempt })),
    ];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const made = this.made(node);
    made.contextValue = node.kind === 'task' ? `task-${node.task.state}` : node.kind === 'comment' && !node.comment.sent ? 'comment-unsent' : node.kind;
    return made;
  }

  private made(node: Node): vscode.TreeItem {
    switch (node.kind) {
      case 'folder':
        return new vscode.TreeItem(vscode.Uri.parse(node.root), vscode.TreeItemCollapsibleState.Expanded);
      case 'remedy': {
        const made = item({ label: node.label, description: '', tooltip: node.label }, node.icon);
        made.command = { command: node.command, title: node.label, arguments: node.argument ? [node.argument] : [] };
        return made;
      }
      case 'decision':
        return this.decisionItem(node);
      case 'task':
        return this.taskItem(node);
      case 'attempt':
        return this.attemptItem(node);
      case 'file':
        return this.fileItem(node);
      case 'finding':
        return this.findingItem(node);
      case 'question':
        return this.questionItem(node);
      case 'comment':
        return this.commentItem(node);
    }
  }

  private findingItem({ root, finding }: Node & { kind: 'finding' }): vscode.TreeItem {
    const made = item(findingLabel(finding), 'comment-unresolved', 'list.warningForeground');
    if (finding.file) {
      const line = Math.max((finding.line ?? 1) - 1, 0);
      const selection = new vscode.Range(line, 0, line, 0);
      made.command = { command: 'vscode.open', title: 'Open', arguments: [vscode.Uri.joinPath(vscode.Uri.parse(root), finding.file), { selection }] };
    }
    return made;
  }

  private questionItem({ question }: Node & { kind: 'question' }): vscode.TreeItem {
    const answer = question.answer ?? 'no reply yet';
    return item({ label: question.text, description: answer, tooltip: `${question.text}\n\n${answer}` }, 'comment-discussion');
  }

  private commentItem(node: Node & { kind: 'comment' }): vscode.TreeItem {
    const made = item(commentLabel(node.comment), 'comment');
    made.command = { command: 'ralph.review', title: 'Review', arguments: [node] };
    return made;
  }

  private decisionItem(node: Node & { kind: 'decision' }): vscode.TreeItem {
    const { question, task } = node.decision;
    const made = item({ label: question, description: task ?? '', tooltip: question }, 'question', 'list.warningForeground');
    made.command = { command: 'ralph.answer', title: 'Answer', arguments: [node] };
    return made;
  }

  private taskItem({ root, task }: Node & { kind: 'task' }): vscode.TreeItem {
    const some = task.attempts.length + task.hunks.length + task.questions.length > 0;
    const proposal = this.model.proposal(root, task.id);
    const label = taskLabel(task, proposal, proposal && this.model.counts(proposal));
    const [icon, colour] = icons[task.state] ?? ['circle-outline'];
    return item(label, icon, colour, some ? vscode.TreeItemCollapsibleState.Collapsed : vscode.TreeItemCollapsibleState.None);
  }

  private attemptItem(node: Node & { kind: 'attempt' }): vscode.TreeItem {
    const { outcome } = node.attempt;
    const made = item(attemptLabel(node.attempt), outcome === 'verified' ? 'verified' : outcome ? 'history' : 'sync~spin');
    made.command = { command: 'ralph.showLog', title: 'Show Log', arguments: [node] };
    return made;
  }

  private fileItem(node: Node & { kind: 'file' }): vscode.TreeItem {
    const made = new vscode.TreeItem(vscode.Uri.joinPath(vscode.Uri.parse(node.root), node.path));
    made.description = fileDescription(node.pending, node.all);
    made.iconPath = vscode.ThemeIcon.File;
    made.command = { command: 'ralph.review', title: 'Review', arguments: [node] };
    return made;
  }
}
