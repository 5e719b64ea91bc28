//! A small language for tests of the loop: a queue in one line, what happens in words, and the result in one line.

use super::{Effect, Input, MoveResult, Refusal, SendBack, decide};
use crate::domain::chain;
use crate::domain::decision::{Answer, DecisionId};
use crate::domain::ending::{Ending, Scope};
use crate::domain::event::{AttemptId, Event, HunkRef, Mark, UnionReport};
use crate::domain::hunks::HunkId;
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue::{live_state, to_fold};
use crate::domain::report::Report;
use crate::domain::settings::{AgentFacts, Link, RunSettings};
use crate::domain::state::State;
use crate::domain::task::{Priority, Status, Task, TaskId, VerifyCommand};

pub fn settings() -> RunSettings {
    RunSettings {
        attempts: 4,
        attempt_seconds: 2700,
        idle_seconds: 600,
        run_seconds: 28_800,
        review_each: false,
        chain: vec!["one".into()],
        ..RunSettings::default()
    }
}

/// Makes a loop with a chain: words like `one`, `two/m,n` (with these models).
pub fn chained(tasks: &str, chain: &str) -> Loop {
    let mut it = Loop::new(tasks);
    it.settings.chain.clear();
    for word in chain.split_whitespace() {
        let (agent, models) = word.split_once('/').unwrap_or((word, ""));
        let models = models.split(',').filter(|model| !model.is_empty()).map(str::to_owned).collect();
        it.settings.chain.push(agent.to_owned());
        it.settings.agents.insert(agent.to_owned(), AgentFacts { models, identity: String::new() });
    }
    it
}

/// Reads a queue: words like `a`, `b:a,c` (depends on), `c!high`, `d?draft`, `e@agent`, `f%2` (attempts), `g$cmd`.
pub fn queue(text: &str) -> Vec<Task> {
    text.split_whitespace().map(task).collect()
}

fn task(word: &str) -> Task {
    let mut parts = word.split_inclusive([':', '!', '?', '@', '%', '$']);
    let mut kind = None;
    let first = parts.next().unwrap_or_default();
    let strip = |part: &str| part.trim_end_matches([':', '!', '?', '@', '%', '$']).to_owned();
    let mut task = Task::new(strip(first), format!("Task {}", strip(first)));
    task.status = Status::Todo;
    let mut next = first.chars().last();
    for part in parts {
        std::mem::swap(&mut kind, &mut next);
        let value = strip(part);
        match kind {
            Some(':') => task.depends_on = value.split(',').map(TaskId::from).collect(),
            Some('!') => {
                let named = Priority::ALL.into_iter().find(|priority| priority.as_str() == value);
                task.priority = named.expect("a priority");
            }
            Some('?') => task.status = Status::ALL.into_iter().find(|it| it.as_str() == value).expect("a status"),
            Some('@') => task.agent = Some(value),
            Some('%') => task.limits.attempts = Some(value.parse().expect("a number")),
            Some('$') => task.verify = vec![VerifyCommand { run: value, cwd: None }],
            _ => panic!("what is {part} in {word}?"),
        }
        next = part.chars().last();
    }
    task
}

/// The loop under test: the live state, every event, and the orders of the last input.
pub struct Loop {
    pub state: State,
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
    pub refused: Option<Refusal>,
    pub settings: RunSettings,
    pub now: i64,
}

impl Loop {
    pub fn new(tasks: &str) -> Self {
        let mut it = Self {
            state: State::default(),
            events: Vec::new(),
            effects: Vec::new(),
            refused: None,
            settings: settings(),
            now: 1_000,
        };
        it.input(Input::QueueRead { tasks: queue(tasks), goals: Vec::new(), head_moved: true });
        it
    }

    /// Handles an input as the actor does.
    pub fn input(&mut self, input: Input) -> Vec<Event> {
        (self.effects, self.refused) = (Vec::new(), None);
        match decide(&self.state, input, self.now) {
            Ok((events, effects)) => {
                for event in &events {
                    self.state.apply(event);
                }
                self.events.extend(events.iter().cloned());
                self.effects = effects;
                events
            }
            Err(refusal) => {
                self.refused = Some(refusal);
                Vec::new()
            }
        }
    }

    pub fn active(&self) -> Option<AttemptId> {
        self.state.run.as_ref()?.active.clone()
    }

    /// Does what the script says: commands separated by `;`.
    pub fn play(&mut self, script: &str) -> &mut Self {
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            self.command(line);
        }
        self
    }

    fn command(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let task = TaskId::from(rest);
        let by = || "test".to_owned();
        let input = match word {
            "start" => {
                let only = rest.split_whitespace().map(TaskId::from).collect();
                Input::Start { settings: self.settings.clone(), only }
            }
            "begin" => return self.begin(),
            "end" => return self.end(rest),
            "report" => Input::Reported {
                attempt: self.active().expect("an attempt is on"),
                id: format!("m{}", self.events.len()),
                report: serde_json::from_str(rest).expect("a report"),
            },
            "answer" => {
                let (id, words) = rest.split_once(' ').expect("an id and an answer");
                let (option, text) = match words.strip_prefix("text ") {
                    Some(text) => (None, Some(text.to_owned())),
                    None => (Some(words.to_owned()), None),
                };
                let answer = Answer { option, text, by: by(), at_ms: 0 };
                Input::Answer { id: DecisionId(id.into()), answer, go_on: true }
            }
            "accept" => self.mark(rest, Mark::Accepted),
            "reject" => self.mark(rest, Mark::Rejected { why: None }),
            "withdraw" => self.mark(rest, Mark::Pending),
            "found" => {
                let proposal = self.state.record(&task).and_then(|record| record.proposal.as_ref());
                let hunks = proposal.map(|proposal| proposal.accepted()).unwrap_or_default();
                Input::FoundOnDisk { task, hunks }
            }
            "keep" => Input::KeepAcceptedPart { task },
            "rest" => Input::DropRest { task, why: None, by: "test".into() },
            "part" => {
                let (id, failed) = rest.split_once(' ').map_or((rest, None), |(id, failed)| (id, Some(failed)));
                let task = TaskId::from(id);
                let proposal = self.state.record(&task).and_then(|record| record.proposal.clone());
                let proposal = proposal.unwrap_or_else(|| panic!("`{task}` has no proposal"));
                let (head, hunks) = (proposal.head.clone(), proposal.accepted());
                Input::PartChecked { task, head, hunks, checks: Vec::new(), failed: failed.map(str::to_owned) }
            }
            "comment" => {
                let (id, hunk) = rest.split_once(' ').map_or((rest, None), |(id, hunk)| (id, Some(hunk.into())));
                let (path, line, text, quote) = (None, None, "why?".to_owned(), None);
                Input::Comment { task: id.into(), hunk, path, line, text, quote }
            }
            "uncomment" => {
                let (id, comment) = rest.split_once(' ').expect("a task and a comment");
                Input::DropComment { task: id.into(), id: comment.into() }
            }
            "back" => Input::SendBack(SendBack { comments: vec!["please".into()], ..SendBack::rest(task) }),
            "retry" => Input::Retry { task, clean: false },
            "clean" => Input::Retry { task, clean: true },
            "reopen" => Input::Reopen { task },
            "cancel" => Input::Cancel { task },
            "steer" => Input::Steer { task, text: "left".into() },
            "ask" => Input::Ask { task, text: "how far?".into() },
            "moved" => {
                let stands_on = to_fold(&self.state, &task);
                let number = self.events.len();
                let (base, head) = (format!("base+{number}"), format!("{task}+{number}"));
                let from = self.head(&task);
                Input::Moved { task, from, result: MoveResult::Moved { base, head, hunks: hunks(), stands_on } }
            }
            "unmovable" => {
                let from = self.head(&task);
                Input::Moved { task, from, result: MoveResult::Failed { detail: "it clashes".into() } }
            }
            "union" => Input::UnionChecked { report: UnionReport::default() },
            "pause" => Input::Pause,
            "resume" => Input::Resume,
            "stop" => Input::Stop { kill: false },
            "kill" => Input::Stop { kill: true },
            "turn" => {
                let (link, failure) = rest.split_once(' ').expect("an agent and how its turn ended");
                let ending = match failure {
                    "regular" => Ending::regular("it ended"),
                    failure => Ending::failed(read_outcome(failure), format!("it ended {failure}")),
                };
                let link = Link { agent: link.into(), model: None };
                Input::TurnEnded { role: "reviewer".into(), task: None, link, ending }
            }
            "tick" => {
                self.now += rest.parse::<i64>().expect("seconds") * 1000;
                Input::Tick
            }
            "queue" | "switch" => {
                let head_moved = word == "switch";
                Input::QueueRead { tasks: queue(rest), goals: Vec::new(), head_moved }
            }
            "trust" => Input::TrustRead { commands: rest.split_whitespace().map(str::to_owned).collect() },
            _ => panic!("what is `{line}`?"),
        };
        self.input(input);
    }

    fn head(&self, task: &TaskId) -> String {
        let proposal = self.state.record(task).and_then(|record| record.proposal.as_ref());
        proposal.map(|proposal| proposal.head.clone()).unwrap_or_default()
    }

    fn mark(&self, words: &str, mark: Mark) -> Input {
        let mut words = words.split_whitespace();
        let task = TaskId::from(words.next().expect("a task"));
        let mut ids: Vec<HunkId> = words.map(HunkId::from).collect();
        if ids.is_empty() {
            ids = hunks().into_iter().map(|hunk| hunk.id).collect();
        }
        Input::MarkHunks { task, hunks: ids, mark, by: "test".into() }
    }

    /// Prepares the attempt that is on and starts its agent.
    fn begin(&mut self) {
        let attempt = self.active().expect("an attempt is on");
        let stands_on = to_fold(&self.state, &attempt.task);
        let (base, start) = ("base".to_owned(), "base".to_owned());
        self.input(Input::Prepared { attempt: attempt.clone(), base, start, stands_on, notes: Vec::new() });
        self.input(Input::AgentStarted { attempt });
    }

    /// Ends the attempt that is on: the outcome, then `diff=`, `fail=`, `otherwise=`, `red=`; `early` before the agent, `permission` for what it asks;
    /// what its agent said by `heard=` (an outcome), `in=` (seconds until it passes), `model` (the scope), `tokens=`, `usd=`.
    fn end(&mut self, words: &str) {
        let attempt = self.active().expect("an attempt is on");
        let mut words = words.split_whitespace();
        let outcome = read_outcome(words.next().expect("an outcome"));
        let mut end = AttemptEnd::new(outcome, format!("it ended {}", outcome.as_str()));
        let (mut early, mut permission) = (false, false);
        for word in words {
            match word.split_once('=') {
                Some(("diff", value)) => end.diff_hash = value.into(),
                Some(("fail", value)) => end.failure = Some(value.into()),
                Some(("otherwise", value)) => end.otherwise = Some(read_outcome(value)),
                Some(("red", value)) => end.red_on_base = Some(value.into()),
                Some(("heard", value)) => heard(&mut end).failure = Some(read_outcome(value)),
                Some(("in", value)) => {
                    let until = self.now + value.parse::<i64>().expect("seconds") * 1000;
                    heard(&mut end).until_ms = Some(until);
                }
                Some(("tokens", value)) => heard(&mut end).usage.output_tokens = value.parse().expect("a number"),
                Some(("usd", value)) => heard(&mut end).usage.usd = Some(value.parse().expect("a number")),
                _ if word == "model" => heard(&mut end).scope = Scope::Model,
                _ if word == "early" => early = true,
                _ if word == "permission" => permission = true,
                _ => panic!("what is {word}?"),
            }
        }
        if !early && self.state.attempt(&attempt).is_some_and(|attempt| !attempt.agent_started) {
            self.begin();
        }
        if outcome == Outcome::NeedsDecision && end.red_on_base.is_none()
            || end.otherwise == Some(Outcome::NeedsDecision)
        {
            let report = Report::Ask {
                question: "which?".into(),
                options: vec!["left".into(), "right".into()],
                recommend: None,
                file: None,
                line: None,
                permission,
            };
            self.input(Input::Reported { attempt: attempt.clone(), id: "ask".into(), report });
        }
        if outcome.is_success() || end.otherwise.is_some_and(Outcome::is_success) {
            end.head = Some(format!("head-{}-{}", attempt.task, attempt.number));
            end.hunks = hunks();
        }
        self.input(Input::Ended { attempt, end });
    }

    /// Says how things are: states, run, open decisions, orders of the last input, refusal.
    pub fn told(&self) -> String {
        let mut parts = Vec::new();
        let states = self.state.order.iter().filter_map(|id| Some((id, live_state(&self.state, id)?)));
        let states: Vec<_> = states.map(|(id, live)| format!("{id}={}", live.state.as_str())).collect();
        parts.push(states.join(" "));
        parts.push(match (&self.state.run, &self.state.last_run) {
            (Some(run), _) => match &run.active {
                Some(attempt) => format!("on {attempt}"),
                None => "on".to_owned(),
            },
            (None, Some(last)) => last.reason.as_str().to_owned(),
            (None, None) => "off".to_owned(),
        });
        let open = self.state.open_decisions().map(|decision| {
            let kind = serde_json::to_value(decision.kind).expect("serialises");
            let task = decision.task.as_ref().map(|task| format!(" {task}")).unwrap_or_default();
            format!("{}:{}{task}", decision.id, kind.as_str().unwrap_or_default())
        });
        parts.extend(open);
        parts.extend(self.effects.iter().map(|effect| match effect {
            Effect::RunAttempt { attempt } => format!("run {attempt}"),
            Effect::StopAttempt { attempt } => format!("stop {attempt}"),
            Effect::Deliver { attempt, message } => format!("tell {attempt} {}", message.id),
            Effect::WriteStatus { task, status } => format!("write {task} {}", status.as_str()),
            Effect::AddDrafts { tasks } => {
                let ids: Vec<_> = tasks.iter().map(|task| task.id.0.as_str()).collect();
                format!("add {}", ids.join(","))
            }
            Effect::MoveProposal { task } => format!("move {task}"),
            Effect::CheckUnion => "check union".to_owned(),
            Effect::CheckPart { task } => format!("check part {task}"),
            Effect::LookOnDisk { task } => format!("look {task}"),
        }));
        parts.extend(self.refused.iter().map(|refusal| format!("refused: {refusal}")));
        parts.join(" | ")
    }
}

fn heard(end: &mut AttemptEnd) -> &mut Ending {
    let failure = Some(end.outcome).filter(|outcome| chain::is_of_chain(*outcome));
    end.ending.get_or_insert_with(|| Ending { failure, ..Ending::regular("it ended") })
}

pub fn hunks() -> Vec<HunkRef> {
    ["h1", "h2"].map(|id| HunkRef { id: id.into(), path: "f".into(), text: String::new(), there: false }).to_vec()
}

pub fn read_outcome(word: &str) -> Outcome {
    serde_json::from_value(word.into()).unwrap_or_else(|_| panic!("no outcome `{word}`"))
}

/// Plays the script over the queue and compares what is told at the end.
#[track_caller]
pub fn check(tasks: &str, script: &str, expected: &str) {
    let mut it = Loop::new(tasks);
    it.play(script);
    assert_eq!(it.told(), expected, "queue `{tasks}`, script `{script}`");
    assert_eq!(State::fold(&it.events), it.state, "folding gives another state: queue `{tasks}`, script `{script}`");
}
