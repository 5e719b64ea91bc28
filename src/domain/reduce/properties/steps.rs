//! What may happen, and how often.

use crate::domain::outcome::Outcome;
use proptest::prelude::*;

pub(super) const TASKS: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const OUTCOMES: [Outcome; 20] = [
    Outcome::Verified,
    Outcome::Unchecked,
    Outcome::Incomplete,
    Outcome::VerifyFailed,
    Outcome::NoChange,
    Outcome::NeedsDecision,
    Outcome::Blocked,
    Outcome::Leaked,
    Outcome::MissingBinary,
    Outcome::AttemptLost,
    Outcome::Cancelled,
    Outcome::Crashed,
    Outcome::RateLimited,
    Outcome::Overloaded,
    Outcome::Network,
    Outcome::Auth,
    Outcome::ModelUnavailable,
    Outcome::ContextExhausted,
    Outcome::TimedOut,
    Outcome::BudgetExceeded,
];

/// One thing that happens; what does not fit the moment is refused or means nothing, as in life.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Queue {
        statuses: [usize; 4],
        without: Option<usize>,
        head_moved: bool,
    },
    Start {
        only: Option<usize>,
    },
    Pause,
    Resume,
    Stop {
        kill: bool,
    },
    Begin,
    /// With the seconds until a limit lifts, as far as it tells, its scope, and what was used.
    End {
        outcome: usize,
        diff: u8,
        seconds: Option<i64>,
        model: bool,
        tokens: u64,
    },
    Suggest,
    Answer {
        decision: usize,
        option: usize,
    },
    Retry {
        task: usize,
        clean: bool,
    },
    Mark {
        task: usize,
        hunk: usize,
        mark: usize,
    },
    Keep {
        task: usize,
    },
    Rest {
        task: usize,
    },
    Part {
        task: usize,
        ok: bool,
    },
    Comment {
        task: usize,
        hunk: Option<usize>,
    },
    DropComment {
        task: usize,
        comment: u32,
    },
    /// With all of it to be reviewed again, or put onto another text.
    SendBack {
        task: usize,
        all: bool,
        rebase: bool,
    },
    /// A commit of the tasks that are done.
    Land {
        task: usize,
        with: usize,
    },
    Unland {
        landing: usize,
    },
    /// What was written for an accept is taken out again.
    Undo {
        task: usize,
    },
    Reopen {
        task: usize,
    },
    Found {
        task: usize,
    },
    Moved {
        task: usize,
        ok: bool,
    },
    Union,
    Tick {
        seconds: i64,
    },
    Cancel {
        task: usize,
    },
    /// A turn that is no attempt ends.
    Turn {
        outcome: usize,
        agent: usize,
        seconds: Option<i64>,
    },
    Restart,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let task = 0..TASKS.len();
    prop_oneof![
        2 => (prop::array::uniform4(0..8usize), prop::option::weighted(0.2, task.clone()), any::<bool>())
            .prop_map(|(statuses, without, head_moved)| Step::Queue { statuses, without, head_moved }),
        4 => prop::option::weighted(0.2, task.clone()).prop_map(|only| Step::Start { only }),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => any::<bool>().prop_map(|kill| Step::Stop { kill }),
        4 => Just(Step::Begin),
        10 => (0..OUTCOMES.len(), 0..3u8, prop::option::of(-5..20_000i64), any::<bool>(), 0..60u64).prop_map(
            |(outcome, diff, seconds, model, tokens)| Step::End { outcome, diff, seconds, model, tokens }
        ),
        1 => Just(Step::Suggest),
        4 => (0..6usize, 0..5usize).prop_map(|(decision, option)| Step::Answer { decision, option }),
        1 => (task.clone(), any::<bool>()).prop_map(|(task, clean)| Step::Retry { task, clean }),
        4 => (task.clone(), 0..2usize, 0..4usize).prop_map(|(task, hunk, mark)| Step::Mark { task, hunk, mark }),
        1 => task.clone().prop_map(|task| Step::Keep { task }),
        1 => task.clone().prop_map(|task| Step::Rest { task }),
        2 => (task.clone(), any::<bool>()).prop_map(|(task, ok)| Step::Part { task, ok }),
        2 => (task.clone(), prop::option::of(0..2usize)).prop_map(|(task, hunk)| Step::Comment { task, hunk }),
        1 => (task.clone(), 1..4u32).prop_map(|(task, comment)| Step::DropComment { task, comment }),
        2 => (task.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(task, all, rebase)| Step::SendBack { task, all, rebase }),
        3 => (task.clone(), task.clone()).prop_map(|(task, with)| Step::Land { task, with }),
        1 => (0..3usize).prop_map(|landing| Step::Unland { landing }),
        1 => task.clone().prop_map(|task| Step::Undo { task }),
        1 => task.clone().prop_map(|task| Step::Reopen { task }),
        3 => task.clone().prop_map(|task| Step::Found { task }),
        3 => (task.clone(), any::<bool>()).prop_map(|(task, ok)| Step::Moved { task, ok }),
        2 => Just(Step::Union),
        1 => (0..40_000i64).prop_map(|seconds| Step::Tick { seconds }),
        1 => task.prop_map(|task| Step::Cancel { task }),
        1 => (0..OUTCOMES.len(), 0..2usize, prop::option::of(1..20_000i64))
            .prop_map(|(outcome, agent, seconds)| Step::Turn { outcome, agent, seconds }),
        1 => Just(Step::Restart),
    ]
}
