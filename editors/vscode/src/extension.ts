// Ralph for VS Code: what is started when, and what ends with the window.

import * as vscode from 'vscode';
import { Commands } from './commands';
import { Model } from './model';
import { ATTEMPT, type AttemptNotification, RUN_ENDED, type RunEndedNotification } from './protocol';
import { Review } from './review';
import { find, placesHere } from './program';
import { Server } from './server';
import { NEW, OLD } from './uris';
import { View } from './view';

/** The server's virtual documents, kept live while they are open. */
class Documents implements vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly server: Server) {}

  provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    return this.server.content(uri.scheme === 'ralph' ? uri.toString(true) : uri.query);
  }

  /** Something of the task happened: its open documents are read again. */
  touch(task: string): void {
    for (const { uri } of vscode.workspace.textDocuments) {
      if (uri.scheme === 'ralph' && uri.path.split('/').includes(task)) {
        this.changed.fire(uri);
      }
    }
  }
}

/** The first words after a run, with the button that begins what is left to do. */
async function sayEnded(ended: RunEndedNotification): Promise<void> {
  const buttons = [...(ended.pending > 0 ? ['Review'] : []), ...(ended.decisions > 0 ? ['Answer'] : [])];
  const say = ended.warning ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const chosen = await say(ended.message, ...buttons);
  if (chosen) {
    await vscode.commands.executeCommand(chosen === 'Review' ? 'ralph.review' : 'ralph.answer', { root: ended.root });
  }
}

export function activate(context: vscode.ExtensionContext): void {
  const wanted = () => find(placesHere(vscode.workspace.getConfiguration('ralph').get<string>('path', ''), context.extensionPath));
  const server = new Server();
  const model = new Model(server);
  const review = new Review(server, model);
  const documents = new Documents(server);
  server.onNotification(ATTEMPT, (attempt: AttemptNotification) => documents.touch(attempt.task));
  server.onNotification(RUN_ENDED, (ended: RunEndedNotification) => void sayEnded(ended));
  const start = () => server.start(wanted());
  context.subscriptions.push(
    server,
    model,
    review,
    new View(model, server),
    ...new Commands(server, model, review, start).register(),
    ...['ralph', OLD, NEW].map((scheme) => vscode.workspace.registerTextDocumentContentProvider(scheme, documents)),
    vscode.workspace.onDidChangeConfiguration((event) => {
      // In remote windows the settings of the machine come after the extension was started.
      if (event.affectsConfiguration('ralph.path') && wanted() !== server.path) {
        vscode.window.setStatusBarMessage(`Ralph: starts ${wanted()}`, 5000);
        void start();
      } else if (event.affectsConfiguration('ralph')) {
        void server.configure();
      }
    }),
  );
  // Not awaited: everything is there at once, and says what is missing where it is used.
  void start();
}

export function deactivate(): void {
  // The client is a subscription and ends with the window; a run goes on without it.
}
