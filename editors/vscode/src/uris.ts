// The names of review documents: which file of which proposal one is about.

import * as vscode from 'vscode';

export const SCHEME = 'ralph-review';

export interface ReviewOf {
  root: string;
  task: string;
  path: string;
  round: number;
}

/** The document in which a file of a proposal is reviewed. Its path ends like the file's, for the colours. */
export function reviewUri(of: ReviewOf): vscode.Uri {
  const folder = of.round > 1 ? `${of.task} (round ${of.round})` : of.task;
  return vscode.Uri.from({ scheme: SCHEME, path: `/${folder}/${of.path}`, query: JSON.stringify(of) });
}

/** What a document is the review of, if it is one. */
export function reviewOf(uri: vscode.Uri): ReviewOf | undefined {
  if (uri.scheme !== SCHEME) {
    return undefined;
  }
  try {
    return JSON.parse(uri.query) as ReviewOf;
  } catch {
    return undefined;
  }
}

export const OLD = 'ralph-old';
export const NEW = 'ralph-new';

/** One side of a file of a proposal, for comparisons: with the same path on both sides, else the file shows as moved. */
export function sideUri(scheme: typeof OLD | typeof NEW, path: string, content: string): vscode.Uri {
  return vscode.Uri.from({ scheme, path: `/${path}`, query: content });
}
