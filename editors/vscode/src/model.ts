// What is known of every folder of the window, rebuilt from the server whenever it says that something changed.

import * as vscode from 'vscode';
import {
  DECISION_REQUESTED, DECISION_RESOLVED, PROPOSAL, PROPOSAL_CHANGED, type ProposalFileResult, type ProposalHunk,
  type ProposalResult, QUEUE_CHANGED, STATUS, STATUS_REQUEST, type StatusNotification, type StatusResult,
} from './protocol';
import type { Server } from './server';

/** A hunk with where it belongs. */
export interface Place {
  root: string;
  proposal: ProposalResult;
  file: ProposalFileResult;
  hunk: ProposalHunk;
}

/** Tells whether the hunk waits for the person. */
export function isPending(hunk: ProposalHunk): boolean {
  return hunk.mark === 'pending' && hunk.state !== 'accepted';
}

export class Model implements vscode.Disposable {
  readonly statuses = new Map<string, StatusResult>();
  readonly notifications = new Map<string, StatusNotification>();
  private readonly proposals = new Map<string, ProposalResult>();
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChange = this.changed.event;
  private refreshing: Promise<void> | undefined;
  private again = false;
  private readonly disposables: vscode.Disposable[] = [this.changed];

  constructor(private readonly server: Server) {
    const client = server.client;
    this.disposables.push(
      client.onNotification(STATUS, (status: StatusNotification) => {
        this.notifications.set(status.root, status);
        this.refreshSoon();
      }),
      ...[PROPOSAL_CHANGED, DECISION_REQUESTED, DECISION_RESOLVED, QUEUE_CHANGED].map((method) =>
        client.onNotification(method, () => this.refreshSoon()),
      ),
      // The places of hunks move with what is typed.
      vscode.languages.onDidChangeDiagnostics((event) => {
        const open = new Set([...this.proposals.values()].flatMap((proposal) => proposal.files.map((file) => file.uri)));
        if (event.uris.some((uri) => open.has(uri.toString()))) {
          this.refreshSoon();
        }
      }),
    );
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private refreshSoon(): void {
    void this.refresh().catch(() => undefined);
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
    const seen = new Set<string>();
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      const root = folder.uri.toString();
      let status: StatusResult;
      try {
        status = await this.server.request<StatusResult>(STATUS_REQUEST, { root });
      } catch {
        // No repository, or no engine yet: there is nothing to show.
        this.statuses.delete(root);
        continue;
      }
      this.statuses.set(root, status);
      for (const task of status.tasks.filter((task) => task.hunks.some((hunk) => hunk.mark === 'pending'))) {
        const key = `${root} ${task.id}`;
        seen.add(key);
        try {
          this.proposals.set(key, await this.server.request<ProposalResult>(PROPOSAL, { root, task: task.id }));
        } catch {
          this.proposals.delete(key);
        }
      }
    }
    for (const key of [...this.proposals.keys()].filter((key) => !seen.has(key))) {
      this.proposals.delete(key);
    }
    this.changed.fire();
  }

  /** The proposal of a task, when hunks of it wait. */
  proposal(root: string, task: string): ProposalResult | undefined {
    return this.proposals.get(`${root} ${task}`);
  }

  /** The pending hunks in the order to review them: by folder, task, file and place; what weakens tests comes first. */
  pending(): Place[] {
    const places: Place[] = [];
    for (const [root, status] of this.statuses) {
      for (const task of status.tasks) {
        const proposal = this.proposal(root, task.id);
        const of_task = (proposal?.files ?? []).flatMap((file) =>
          file.hunks.filter(isPending).map((hunk) => ({ root, proposal: proposal as ProposalResult, file, hunk })),
        );
        const risky = new Set(of_task.filter((place) => place.hunk.weakensTest).map((place) => place.file.path));
        places.push(...of_task.filter((place) => risky.has(place.file.path)), ...of_task.filter((place) => !risky.has(place.file.path)));
      }
    }
    return places;
  }
}
