// The one client of this window. Its program may be missing, come later or change; everything else goes on meanwhile.

import * as vscode from 'vscode';
import {
  LanguageClient, type LanguageClientOptions, type MessageActionItem, MessageType, type ShowMessageRequestParams, State,
} from 'vscode-languageclient/node';
import { problem } from './program';
import { type CommandResult, CONTENT, INPUT, VERSION } from './protocol';
import { reviewOf } from './uris';

export type Health = 'starting' | 'ready' | 'failed';

interface Listener {
  method: string;
  hear: (params: any) => void;
}

/** The server of this window. */
export class Server implements vscode.Disposable {
  health: Health = 'starting';
  /** Why there is no server, and what to do about it. */
  problem = '';
  /** The program that was started last. */
  path = '';
  private client: LanguageClient | undefined;
  private readonly listeners: Listener[] = [];
  private readonly changed = new vscode.EventEmitter<void>();
  /** Fires when the server came, went or failed. */
  readonly onChange = this.changed.event;
  private readonly output = vscode.window.createOutputChannel('Ralph', { log: true });
  // Starts follow each other; only the last one counts.
  private turn: Promise<void> = Promise.resolve();
  private last = 0;

  /** Starts the program at `path`, in place of one that runs. Never rejects: `health` and `problem` say how it went. */
  start(path: string): Promise<void> {
    const mine = ++this.last;
    this.path = path;
    this.set('starting');
    this.turn = this.turn.then(async () => {
      await this.stop();
      if (mine !== this.last) {
        return;
      }
      const wrong = (await problem(path)) ?? (await this.connect(path).then(() => undefined, (error: Error) => error.message));
      if (mine === this.last) {
        this.set(wrong ? 'failed' : 'ready', wrong);
      }
    });
    return this.turn;
  }

  dispose(): void {
    this.last++;
    this.set('failed', 'this window ends');
    void this.turn.then(() => this.stop()).finally(() => this.output.dispose());
    this.changed.dispose();
  }

  private set(health: Health, problem = ''): void {
    [this.health, this.problem] = [health, problem];
    this.changed.fire();
  }

  private async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    // One that never came up cannot be stopped, and needs not be.
    await client?.dispose().catch(() => undefined);
  }

  /** Starts the server and compares versions; the message of a rejection names the fix. */
  private async connect(path: string): Promise<void> {
    const client = this.newClient(path);
    this.client = client;
    await client.start();
    const experimental = client.initializeResult?.capabilities.experimental as { ralph?: { version?: number } } | undefined;
    const version = experimental?.ralph?.version;
    if (version !== VERSION) {
      const newer = version !== undefined && version > VERSION;
      await this.stop();
      throw new Error(`ralph-sidecar speaks version ${version ?? 'none'} of the protocol and this extension ${VERSION}: update ${newer ? 'the extension' : 'ralph-sidecar'}.`);
    }
    client.onDidChangeState(({ newState }) => {
      // The library starts a server that died again; what it says then is news.
      if (client === this.client && newState === State.Running) {
        this.set('ready');
      } else if (client === this.client && newState === State.Stopped) {
        this.set('failed', 'ralph-sidecar ended by itself; the log *Ralph* has what it said. *Ralph: Restart* starts it again.');
      }
    });
  }

  private newClient(path: string): LanguageClient {
    const options: LanguageClientOptions = {
      // Hunks and questions may be in any file.
      documentSelector: [{ scheme: 'file' }],
      initializationOptions: () => vscode.workspace.getConfiguration('ralph'),
      outputChannel: this.output,
      progressOnInitialization: false,
    };
    const client = new LanguageClient('ralph', 'Ralph', { command: path, args: ['lsp'] }, options);
    // The library would register every command of the server globally; ours ask for what is missing first.
    // Nor is it to serve `ralph:` documents: it spells their names in a way the server does not know.
    for (const method of ['workspace/executeCommand', 'workspace/textDocumentContent'] as const) {
      const feature = client.getFeature(method as 'workspace/executeCommand') as unknown as { initialize: () => void } | undefined;
      if (feature) {
        feature.initialize = () => undefined;
      }
    }
    client.registerFeature({
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = { ...(capabilities.experimental as object), ralph: { input: true, runEnded: true } };
      },
      initialize: () => undefined,
      getState: () => ({ kind: 'static' }),
      clear: () => undefined,
    });
    client.onRequest(INPUT, async (params: { prompt: string; placeholder?: string | null }) => ({
      text: (await vscode.window.showInputBox({
        prompt: params.prompt,
        placeHolder: params.placeholder ?? undefined,
        ignoreFocusOut: true,
      })) ?? null,
    }));
    // In place of the library's own, which would run the lines of a question together.
    client.onRequest('window/showMessageRequest', ({ type, message, actions }: ShowMessageRequestParams) => choose(type, message, actions ?? []));
    for (const { method, hear } of this.listeners) {
      client.onNotification(method, hear);
    }
    return client;
  }

  /** Hears a notification, of this server and of those that come after it. */
  onNotification<T>(method: string, hear: (params: T) => void): void {
    this.listeners.push({ method, hear });
    this.client?.onNotification(method, hear);
  }

  /** Waits until there is a server; rejects with what is missing. */
  private async ready(): Promise<LanguageClient> {
    while (this.health === 'starting') {
      await this.turn;
    }
    if (this.health === 'failed' || !this.client) {
      throw new Error(this.problem || 'ralph-sidecar is not running');
    }
    return this.client;
  }

  async request<T>(method: string, params: object = {}): Promise<T> {
    return (await this.ready()).sendRequest<T>(method, withRoot(params));
  }

  /** Asks for something to be done and says what happened, in the status bar or, when it went wrong, in a message. */
  async command(method: string, params: object = {}): Promise<CommandResult | undefined> {
    try {
      const result = await this.request<CommandResult>(method, params);
      if (result?.message) {
        vscode.window.setStatusBarMessage(`Ralph: ${result.message}`, 8000);
      }
      for (const conflict of result?.conflicts ?? []) {
        void vscode.window.showWarningMessage(`Ralph: ${conflict.reason}`);
      }
      return result;
    } catch (error) {
      void this.explain((error as Error).message);
      return undefined;
    }
  }

  /** Says what went wrong; where the program is missing, with the ways to mend that. */
  async explain(message = this.problem): Promise<void> {
    if (this.health !== 'failed') {
      void vscode.window.showErrorMessage(`Ralph: ${message}`);
      return;
    }
    const [settings, again] = ['Open Settings', 'Try Again'];
    const chosen = await vscode.window.showErrorMessage(`Ralph: ${message}`, again, settings);
    if (chosen) {
      await (chosen === settings
        ? vscode.commands.executeCommand('workbench.action.openSettings', 'ralph.path')
        : vscode.commands.executeCommand('ralph.restart'));
    }
  }

  /** Tells the settings of the person, as they are now. One that starts is told by itself. */
  async configure(): Promise<void> {
    if (this.health === 'ready') {
      const settings = { ralph: vscode.workspace.getConfiguration('ralph') };
      await this.client?.sendNotification('workspace/didChangeConfiguration', { settings }).catch(() => undefined);
    }
  }

  /** The text of a virtual document of the server. */
  async content(uri: string): Promise<string> {
    return (await (await this.ready()).sendRequest<{ text: string }>(CONTENT, { uri })).text;
  }
}

// A question of several lines, such as the commands to be trusted, is to be read before anything is pressed: it is shown
// as a dialog, whose first button is Enter and whose last one is Escape.
async function choose(type: MessageType, message: string, actions: MessageActionItem[]): Promise<MessageActionItem | null> {
  const { window } = vscode;
  const say = type === MessageType.Error ? window.showErrorMessage : type === MessageType.Warning ? window.showWarningMessage : window.showInformationMessage;
  const [first, ...rest] = message.split('\n');
  if (rest.length === 0) {
    return (await say(message, ...actions)) ?? null;
  }
  const buttons = actions.map(({ title }, index) => ({ title, isCloseAffordance: index > 0 && index === actions.length - 1 }));
  const chosen = await say(first ?? '', { modal: true, detail: rest.join('\n') }, ...buttons);
  return chosen ? { title: chosen.title } : null;
}

// The folder a command is about: that of the file the person looks at, where there are several.
function withRoot(params: object): object {
  if ('root' in params) {
    return params;
  }
  const uri = vscode.window.activeTextEditor?.document.uri;
  const reviewed = uri && reviewOf(uri);
  if (reviewed) {
    return { ...params, root: reviewed.root };
  }
  const folder = uri?.scheme === 'file' ? vscode.workspace.getWorkspaceFolder(uri) : undefined;
  const chosen = folder ?? vscode.workspace.workspaceFolders?.[0];
  return chosen ? { ...params, root: chosen.uri.toString() } : params;
}
