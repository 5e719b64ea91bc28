// The names and types of ralph-sidecar's own part of the protocol; docs/protocol.md describes them. A test of the
// repository compares this file with the server's.

export const CONTENT = 'ralph/content';
export const INPUT = 'ralph/input';
export const STATUS_REQUEST = 'ralph/status';
export const PROPOSAL = 'ralph/proposal';

export const STATUS = 'ralph/status';
export const ATTEMPT = 'ralph/attempt';
export const PROPOSAL_CHANGED = 'ralph/proposalChanged';
export const DECISION_REQUESTED = 'ralph/decisionRequested';
export const DECISION_RESOLVED = 'ralph/decisionResolved';
export const QUEUE_CHANGED = 'ralph/queueChanged';
export const RUN_ENDED = 'ralph/runEnded';

/** The version of the protocol that this extension speaks. */
export const VERSION = 1;

export interface RunStatus {
  id: string;
  paused: boolean;
  stopping: boolean;
  task: string | null;
  attempt: number | null;
  agent: string | null;
  waitingUntilMs: number | null;
  waitingWhy: string | null;
}

export interface LastRunStatus {
  id: string;
  reason: string;
  endedAtMs: number;
  summary: string;
}

export interface HunkStatus {
  id: string;
  path: string;
  mark: string;
}

export interface AttemptStatus {
  number: number;
  agent: string;
  model: string | null;
  outcome: string | null;
  detail: string;
  used: string | null;
  promptUri: string;
  transcriptUri: string;
  checksUri: string;
}

export interface QuestionStatus {
  id: string;
  attempt: number;
  text: string;
  answer: string | null;
}

export interface TaskStatus {
  id: string;
  title: string;
  status: string;
  state: string;
  why: string;
  attempts: AttemptStatus[];
  hunks: HunkStatus[];
  questions: QuestionStatus[];
}

export interface DecisionChoice {
  label: string;
  detail: string;
}

export interface DecisionStatus {
  id: string;
  task: string | null;
  kind: string;
  question: string;
  options: DecisionChoice[];
  recommended: string | null;
  file: string | null;
  line: number | null;
}

export interface StatusResult {
  root: string;
  run: RunStatus | null;
  lastRun: LastRunStatus | null;
  tasks: TaskStatus[];
  decisions: DecisionStatus[];
  queueProblem: string | null;
  agents: string[];
}

export interface StatusNotification {
  root: string;
  health: string;
  message: string;
  run: RunStatus | null;
  states: Record<string, number>;
  decisions: number;
  pending: number;
}

export interface RunEndedNotification {
  root: string;
  message: string;
  warning: boolean;
  decisions: number;
  pending: number;
}

export interface AttemptNotification {
  root: string;
  task: string;
  attempt: number;
  kind: string;
  agent: string | null;
  outcome: string | null;
  text: string;
}

export interface ProposalChangedNotification {
  root: string;
  task: string;
  pending: number;
  total: number;
}

export interface CommentStatus {
  id: string;
  hunk: string | null;
  path: string | null;
  line: number | null;
  text: string;
  round: number;
  sent: boolean;
}

export interface ProposalHunk {
  id: string;
  kind: string;
  mark: string;
  state: string | null;
  startLine: number;
  endLine: number;
  oldStart: number;
  newStart: number;
  oldLines: string[];
  newLines: string[];
  weakensTest: string | null;
  findings: string[];
  comments: string[];
  changed: boolean;
  again: boolean;
  waitsFor: string | null;
}

export interface ProposalFileResult {
  path: string;
  oldPath: string | null;
  uri: string;
  baseUri: string;
  proposalUri: string;
  hunks: ProposalHunk[];
}

export interface CheckStatus {
  run: string;
  passed: boolean;
  proof: boolean;
}

export interface FindingStatus {
  file: string | null;
  line: number | null;
  text: string;
}

export interface ProposalResult {
  task: string;
  title: string;
  attempt: number;
  outcome: string;
  summary: string | null;
  acceptance: string[];
  checks: CheckStatus[];
  findings: FindingStatus[];
  files: ProposalFileResult[];
  uri: string;
  round: number;
  comments: CommentStatus[];
}

export interface CommandResult {
  message: string;
  tasks?: string[];
  hunks?: string[];
  conflicts?: { hunk: string; reason: string }[];
  uri?: string;
}
