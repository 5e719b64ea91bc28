// What is known of every folder of the window, rebuilt from the server whenever it says that something changed.

import * as vscode from 'vscode';
import { Notes } from './notes';
import { count, type Counts, inOrder, isInReview, keepOrder, type Mark, markOf, type Place, takeMarks, versionOf } from './proposals';
import {
  DECISION_REQUESTED, DECISION_RESOLVED, PROPOSAL, PROPOSAL_CHANGED, type ProposalChangedNotification, type ProposalHunk,
  type ProposalResult, QUEUE_CHANGED, STATUS, STATUS_REQUEST, type StatusNotification, type StatusResult, type TaskStatus,
} from './protocol';
import type { Server } from './server';

// Milliseconds: news that come close together are asked for once.
const CALM = 120;
// Milliseconds between looks at a folder that gave no answer; the last pause is kept.
const PAUSES = [500, 1000, 2000, 4000, 8000, 15_000, 30_000];

interface Known {
  proposal: ProposalResult;
  version: string;
}

export class Model implements vscode.Disposable {
  readonly statuses = new Map<string, StatusResult>();
  readonly notifications = new Map<string, StatusNotification>();
  /** Why a folder has no status. */
  readonly problems = new Map<string, string>();
  // The folder of the window for a checkout the server names, which may be a folder above or be spelt differently.
  private readonly folders = new Map<string, string>();
  private readonly proposals = new Map<string, Known>();
  private readonly stale = new Set<string>();
  // What was told last of the counts of a proposal.
  private readonly told = new Map<string, string>();
  private readonly decided = new Notes();
  private order: Place[] | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  /** Anything may be different. */
  readonly onChange = this.changed.event;
  private readonly marked = new vscode.EventEmitter<void>();
  /** Only what was made of hunks is different. */
  readonly onMark = this.marked.event;
  private refreshing: Promise<void> | undefined;
  private again = false;
  private calm: NodeJS.Timeout | undefined;
  private retry: NodeJS.Timeout | undefined;
  private tries = 0;
  private readonly disposables: vscode.Disposable[] = [this.changed, this.marked];

  constructor(private readonly server: Server) {
    server.onNotification(STATUS, (status: StatusNotification) => {
      this.notifications.set(status.root, status);
      this.refreshSoon();
    });
    server.onNotification(PROPOSAL_CHANGED, ({ root, task, pending, total }: ProposalChangedNotification) => {
      const key = `${this.folders.get(root) ?? root} ${task}`;
      const counts = `${pending}/${total}`;
      // Another number waits: marks changed, and the status has those. The same number: anything else did.
      if (this.told.get(key) === counts) {
        this.stale.add(key);
      }
      this.told.set(key, counts);
      this.refreshSoon();
    });
    for (const method of [DECISION_REQUESTED, DECISION_RESOLVED, QUEUE_CHANGED]) {
      server.onNotification(method, () => this.refreshSoon());
    }
    this.disposables.push(
      server.onChange(() => this.serverChanged()),
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.refreshSoon()),
      // The places of hunks move with what is typed.
      vscode.languages.onDidChangeDiagnostics((event) => this.moved(new Set(event.uris.map(String)))),
    );
  }

  dispose(): void {
    clearTimeout(this.calm);
    clearTimeout(this.retry);
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private serverChanged(): void {
    if (this.server.health === 'ready') {
      this.tries = 0;
      [...this.proposals.keys()].forEach((key) => this.stale.add(key));
      this.refreshSoon();
      return;
    }
    // What a server told is no longer known to be so; the next one tells everything again.
    this.notifications.clear();
    this.statuses.clear();
    this.decided.drop(this.decided.hunks);
    this.fire();
  }

  private moved(uris: Set<string>): void {
    for (const [key, { proposal }] of this.proposals) {
      if (proposal.files.some((file) => uris.has(file.uri))) {
        this.stale.add(key);
        this.refreshSoon();
      }
    }
  }

  private refreshSoon(pause = CALM): void {
    clearTimeout(this.calm);
    this.calm = setTimeout(() => void this.refresh().catch(() => undefined), pause);
  }

  /** Asks for everything again; calls during a refresh end in one more. */
  async refresh(): Promise<void> {
    if (this.refreshing) {
      this.again = true;
      return this.refreshing;
    }
    this.refreshing = (async () => {
      do {
        this.again = false;
        await this.load();
      } while (this.again);
    })();
    try {
      await this.refreshing;
    } finally {
      this.refreshing = undefined;
    }
  }

  private async load(): Promise<void> {
    const roots = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.toString());
    const due = this.decided.due();
    // One folder that is slow or broken holds up no other.
    await Promise.all(roots.map((root) => this.loadRoot(root)));
    this.decided.settle(due);
    for (const known of [this.statuses, this.problems]) {
      [...known.keys()].filter((root) => !roots.includes(root)).forEach((root) => known.delete(root));
    }
    const there = new Set([...roots, ...[...this.statuses.values()].map((status) => status.root)]);
    [...this.notifications.keys()].filter((root) => !there.has(root)).forEach((root) => this.notifications.delete(root));
    this.fire();
    this.retryLater();
  }

  private async loadRoot(root: string): Promise<void> {
    let status: StatusResult;
    try {
      status = await this.server.request<StatusResult>(STATUS_REQUEST, { root });
    } catch (error) {
      // No repository, or no engine yet: there is nothing to show.
      this.statuses.delete(root);
      this.problems.set(root, (error as Error).message);
      return;
    }
    this.problems.delete(root);
    this.folders.set(status.root, root);
    const tasks = status.tasks.filter(isInReview);
    await Promise.all(tasks.map((task) => this.loadProposal(root, task)));
    const keys = new Set(tasks.map((task) => `${root} ${task.id}`));
    for (const key of [...this.proposals.keys()].filter((key) => key.startsWith(`${root} `) && !keys.has(key))) {
      this.proposals.delete(key);
    }
    this.statuses.set(root, status);
    this.fire();
  }

  /** A proposal is read again when it is another one or places in it moved; marks come with the status. */
  private async loadProposal(root: string, task: TaskStatus): Promise<void> {
    const key = `${root} ${task.id}`;
    const version = versionOf(task);
    const known = this.proposals.get(key);
    if (known?.version === version && !this.stale.has(key)) {
      takeMarks(known.proposal, task);
      return;
    }
    this.stale.delete(key);
    try {
      const proposal = await this.server.request<ProposalResult>(PROPOSAL, { root, task: task.id });
      // As documents spell theirs.
      proposal.files.forEach((file) => (file.uri = vscode.Uri.parse(file.uri).toString()));
      if (known?.version === version) {
        keepOrder(proposal, known.proposal);
      }
      this.proposals.set(key, { proposal, version });
    } catch {
      this.proposals.delete(key);
    }
  }

  private fire(): void {
    // In the order of the window, whichever folder answered first.
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      const root = folder.uri.toString();
      const status = this.statuses.get(root);
      if (status) {
        this.statuses.delete(root);
        this.statuses.set(root, status);
      }
    }
    this.order = undefined;
    this.changed.fire();
  }

  // An engine that takes long to start, or was not there for a moment, is asked again.
  private retryLater(): void {
    clearTimeout(this.retry);
    if (this.problems.size === 0 || this.server.health !== 'ready') {
      this.tries = 0;
      return;
    }
    const pause = PAUSES[Math.min(this.tries, PAUSES.length - 1)] as number;
    this.tries++;
    this.retry = setTimeout(() => void this.refresh().catch(() => undefined), pause);
  }

  /** The proposal of a task, while it is reviewed. */
  proposal(root: string, task: string): ProposalResult | undefined {
    return this.proposals.get(`${root} ${task}`)?.proposal;
  }

  /** Notes what the person decided, before the server knows. */
  decide(hunks: string[], mark: Mark): void {
    this.decided.add(hunks, mark);
    this.marked.fire();
  }

  /** The server has done what was decided; from the next status on its word counts. */
  confirm(hunks: string[]): void {
    this.decided.answer(hunks);
    this.refreshSoon();
  }

  /** Forgets what was noted: the server refused. */
  forget(hunks: string[]): void {
    if (this.decided.drop(hunks)) {
      this.marked.fire();
    }
  }

  forgetAll(): void {
    this.forget(this.decided.hunks);
  }

  /** Reads a proposal again with the next refresh, such as for a new comment. */
  touch(root: string, task: string): void {
    this.stale.add(`${root} ${task}`);
  }

  markOf(hunk: ProposalHunk): Mark {
    return markOf(hunk, this.decided);
  }

  counts(proposal: ProposalResult): Counts {
    return count(proposal, this.decided);
  }

  /** All hunks under review, by folder, task, file and place; what weakens tests comes first. */
  places(): Place[] {
    this.order ??= [...this.statuses].flatMap(([root, status]) => status.tasks.flatMap((task) => {
      const proposal = this.proposal(root, task.id);
      return proposal ? inOrder(root, proposal) : [];
    }));
    return this.order;
  }

  /** The hunks that wait for the person, in the same order. */
  pending(): Place[] {
    return this.places().filter((place) => this.markOf(place.hunk) === 'pending');
  }
}
