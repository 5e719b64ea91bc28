//! What the whole program is put through with an agent: `run` on a queue of one task, as a person would, with the fence,
//! the supervisor and the limits in force.

use super::Bench;
use super::cases::PATIENCE;
use super::seen::saw;
use super::subjects::Subject;
use crate::leftovers;
use crate::mock::fault::QUOTA_SECONDS;
use crate::mock::play::{FILE, GREETING, SUMMARY, Step};
use ralph_sidecar::infra::sandbox::{Support, support};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// What there is to say of the only task after a run.
struct Ran {
    printed: String,
    status: Value,
}

impl Ran {
    fn task(&self) -> &Value {
        &self.status["tasks"][0]
    }

    /// The agents and outcomes of its attempts, in order.
    fn attempts(&self) -> Vec<(&str, &str)> {
        let attempts = self.task()["attempts"].as_array().expect("attempts").iter();
        attempts.map(|attempt| (word(&attempt["agent"]), word(&attempt["outcome"]))).collect()
    }

    fn detail(&self) -> &str {
        self.task()["attempts"][0]["detail"].as_str().unwrap_or_default()
    }

    fn shown(&self) -> String {
        format!("{:#}\n{}", self.status, self.printed)
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("none")
}

/// Writes a queue of one task and the configuration: agents by their names in the order of the chain, and what else it
/// says.
fn settle(bench: &Bench, agents: &[(&str, &Subject, &str)], verify: &str, more: &Value) {
    let names: Vec<&str> = agents.iter().map(|(name, ..)| *name).collect();
    let configured =
        agents.iter().map(|(name, subject, scenario)| ((*name).to_owned(), json!(subject.agent(bench, scenario))));
    let mut config = json!({
        "version": 1,
        "agents": configured.collect::<serde_json::Map<_, _>>(),
        "chains": { "implementer": names },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        match config[name].as_object_mut().zip(value.as_object()) {
            Some((into, from)) => into.extend(from.clone()),
            None => config[name] = value.clone(),
        }
    }
    bench.write(".ralph/config.json", &config.to_string());
    let task = json!({ "id": "greet", "title": "Write a greeting", "status": "todo", "verify": [verify] });
    bench.write(".ralph/queue.json", &json!({ "version": 1, "tasks": [task] }).to_string());
    bench.ralph(&["trust", "--yes"], PATIENCE);
}

/// The check of the play `write`.
fn greets() -> String {
    format!("grep hello {FILE}")
}

/// Runs until nothing more can run, and looks at the task; nothing may outlive the run, nor reach the checkout.
fn run(bench: &Bench) -> Ran {
    let (_, printed) = bench.try_ralph(&["run"], PATIENCE);
    after(bench, printed)
}

fn after(bench: &Bench, printed: String) -> Ran {
    let left = leftovers::of(bench.base());
    assert!(left.is_empty(), "processes outlived the run: {left:#?}\n{printed}");
    assert_eq!(bench.read(FILE), None, "the checkout is as it was");
    let status = bench.ralph(&["status", "--json"], PATIENCE);
    Ran { printed, status: serde_json::from_str(&status).expect("a document") }
}

/// Runs the task once with a scenario, and returns what came of it.
fn run_once(subject: &'static Subject, scenario: &str, more: Value) -> (Bench, Ran) {
    let bench = Bench::new(subject, scenario);
    settle(&bench, &[("worker", subject, scenario)], &greets(), &more);
    let ran = run(&bench);
    (bench, ran)
}

/// The agent puts a question to a person.
pub fn asks(subject: &'static Subject) {
    let (_bench, ran) = run_once(subject, "ask", json!({}));
    assert_eq!(ran.attempts(), [("worker", "needs_decision")], "{}", ran.shown());
    let question = &ran.status["decisions"][0];
    assert_eq!(question["task"], "greet", "{}", ran.shown());
    assert!(question.to_string().contains("Which greeting?"), "{}", ran.shown());
    saw(subject.name, "asks a person", "`needs_decision`");
}

/// The agent says that it cannot go on, and a person is asked what to do.
pub fn is_blocked(subject: &'static Subject) {
    let (_bench, ran) = run_once(subject, "blocked", json!({}));
    assert_eq!(ran.attempts(), [("worker", "blocked")], "{}", ran.shown());
    assert!(ran.detail().contains("There is no network here."), "{}", ran.shown());
    saw(subject.name, "says that it is blocked", "`blocked`");
}

/// As reviewer the agent approves a result.
pub fn approves(subject: &'static Subject) {
    let chains = json!({ "chains": { "reviewer": ["worker"] } });
    let (bench, ran) = run_once(subject, "work", chains);
    assert_eq!(ran.attempts(), [("worker", "verified")], "{}", ran.shown());
    assert!(ran.printed.contains("review 1 approves: It is right."), "{}", ran.shown());
    let review: Value = serde_json::from_str(&bench.ralph(&["review", "greet", "--json"], PATIENCE)).expect("JSON");
    assert_eq!(review["findings"], json!([]), "{review:#}");
}

/// As reviewer the agent finds something, which is shown with the proposal.
pub fn finds(subject: &'static Subject) {
    let more = json!({ "chains": { "reviewer": ["worker"] }, "reviewer": { "findings": "with-proposal" } });
    let (bench, ran) = run_once(subject, "criticised", more);
    assert_eq!(ran.attempts(), [("worker", "verified")], "{}", ran.shown());
    let review: Value = serde_json::from_str(&bench.ralph(&["review", "greet", "--json"], PATIENCE)).expect("JSON");
    let finding = json!([{ "file": FILE, "line": 1, "text": "It greets nobody by name." }]);
    assert_eq!(review["findings"], finding, "{}", ran.shown());
    saw(subject.name, "reviews", "yes");
}

/// The first agent of a chain meets the limit of its plan; the second goes on at once, and what it does is verified.
pub fn gives_way(subject: &'static Subject, other: &'static Subject) {
    let bench = Bench::new(subject, "quota");
    settle(&bench, &[("first", subject, "quota"), ("second", other, "work")], &greets(), &json!({}));
    let ran = run(&bench);
    let (last, limited) = ran.attempts().split_last().map(|(last, before)| (*last, before.to_vec())).expect("attempts");
    assert_eq!(last, ("second", "verified"), "{}", ran.shown());
    assert!(limited.iter().all(|attempt| *attempt == ("first", "rate_limited")), "{}", ran.shown());
    assert_eq!(ran.task()["state"], "review", "{}", ran.shown());
    assert!(!ran.printed.contains("waits for"), "nobody waited: {}", ran.shown());
    saw(subject.name, "gives way at its limit", "yes");
}

/// The only agent of a chain meets its limit: the run waits, says until when, and goes on when a person says so.
pub fn waits(subject: &'static Subject, told: bool) {
    let bench = Bench::new(subject, "fail.1.quota.work");
    settle(&bench, &[("worker", subject, "fail.1.quota.work")], &greets(), &json!({}));
    let mut running = bench.command(&["run"]);
    running.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = running.spawn().expect("the program starts");
    let (mut printed, mut resumed) = (String::new(), false);
    for line in BufReader::new(running.stdout.take().expect("its output")).lines().map_while(Result::ok) {
        printed.push_str(&line);
        printed.push('\n');
        if line.contains("waits for worker until") && !std::mem::replace(&mut resumed, true) {
            assert!(line.contains("rate limited"), "{line}");
            // The day of the week comes before the time when that is tomorrow's.
            let until = line.split("until ").nth(1).and_then(|rest| rest.split(" (").next()).expect("a time");
            let until = until.split(' ').next_back().expect("a time");
            if told {
                assert_eq!(minutes_from_now(until), i64::try_from(QUOTA_SECONDS / 60).expect("minutes"), "{line}");
            }
            let done = bench.command(&["resume"]).output().expect("the program runs");
            assert!(done.status.success(), "{done:?}");
        }
    }
    let status = running.wait().expect("it ended");
    assert!(resumed && status.success(), "{status}\n{printed}");
    let document = bench.command(&["status", "--json"]).output().expect("the program runs").stdout;
    let ran = Ran { printed, status: serde_json::from_slice(&document).expect("a document") };
    assert_eq!(ran.attempts().last(), Some(&("worker", "verified")), "{}", ran.shown());
    saw(subject.name, "waits for its limit", if told { "until it lifts" } else { "for a while, longer each time" });
}

/// Returns how many minutes from now a time of the day is, in UTC as everything here; a minute that is about to change
/// is rounded away.
fn minutes_from_now(time: &str) -> i64 {
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let (hours, minutes) = time.split_once(':').expect("a time");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now / 60 % (24 * 60)).expect("minutes");
    let between = (number(hours) * 60 + number(minutes) - now).rem_euclid(24 * 60);
    let whole = i64::try_from(QUOTA_SECONDS / 60).expect("minutes");
    if (between - whole).abs() <= 2 { whole } else { between }
}

/// Behind the fence the agent commits in its slot and writes its own session, and reaches nothing of the checkout or
/// beside it; `session` is where its sessions are, in the bench's folder, empty for one without.
pub fn is_fenced(subject: &'static Subject, session: &str) {
    if let Support::Open { why } = support() {
        eprintln!("SKIPPED: there is no write fence here: {why}");
        return;
    }
    let bench = Bench::new(subject, "script");
    let (base, checkout) = (bench.base().display().to_string(), bench.slot().display().to_string());
    // In a file, so that the agent's own rules about paths in commands do not come first. The engine keeps its own
    // variables, and with them the committer's name, from agents.
    let deeds = format!(
        "echo hello > {FILE}; git add -A; git -c user.name=A -c user.email=a@b commit -q -m inside && git log -1 --format=%s > committed.txt\n\
         touch '{checkout}/stolen' && echo checkout >> done.txt\n\
         echo x >> '{checkout}/.git/config' && echo config >> done.txt\n\
         touch '{base}/stolen' && echo beside >> done.txt\n\
         echo x >> '{base}/home/.profile' && echo home >> done.txt\n\
         true\n"
    );
    std::fs::write(bench.base().join("deeds.sh"), deeds).expect("a script");
    let finished = Step::Report { tool: "report_finished".into(), arguments: json!({ "summary": SUMMARY }) };
    bench.mock.script(Bench::RUN, &[Step::Shell(format!("sh {base}/deeds.sh")), finished]);
    let verify = "grep inside committed.txt && ! test -e done.txt";
    settle(&bench, &[("worker", subject, "script")], &format!("sh -c '{verify}'"), &json!({}));
    let ran = run(&bench);
    assert_eq!(ran.attempts(), [("worker", "verified")], "{}", ran.shown());
    for path in [checkout + "/stolen", base.clone() + "/stolen", base + "/home/.profile"] {
        assert!(!Path::new(&path).exists(), "{path}");
    }
    let written = has_files(&bench.base().join(session));
    assert!(written, "the agent's own session is kept in {session}: {}", ran.shown());
    saw(subject.name, "works behind the fence", "yes");
}

fn has_files(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.is_file() || has_files(&path))
}

/// A limit of ours that ends an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// Seconds of silence.
    Idle(u64),
    /// Tokens of the attempt.
    Tokens(u64),
    /// Seconds of the attempt.
    Time(u64),
    /// None of ours: the agent ends by itself, after so many attempts.
    Own(u64),
}

/// The agent itself would not end soon: a limit ends it, as what it is, and nothing of it is left.
pub fn is_bounded(subject: &'static Subject, scenario: &str, bound: Bound) {
    let (name, limit, outcome, words) = match bound {
        Bound::Idle(seconds) => ("idle_seconds", seconds, "timed_out", "silent"),
        Bound::Tokens(tokens) => ("attempt_tokens", tokens, "budget_exceeded", "token"),
        Bound::Time(seconds) => ("attempt_seconds", seconds, "timed_out", "wall timeout"),
        Bound::Own(attempts) => ("attempts", attempts, "timed_out", "its own limit"),
    };
    let mut limits = json!({ "attempts": 1 });
    limits[name] = json!(limit);
    let (bench, ran) = run_once(subject, scenario, json!({ "limits": limits }));
    assert_eq!(ran.attempts(), [("worker", outcome)], "{}", ran.shown());
    assert!(ran.detail().contains(words), "{}", ran.shown());
    assert!(bench.mock.turns(Bench::RUN) >= 1, "the model was asked: {}", ran.shown());
    let by = match bound {
        Bound::Idle(_) => "our limit of silence",
        Bound::Tokens(_) => "our limit of tokens",
        Bound::Time(_) => "our limit of time",
        Bound::Own(_) => "its own limit",
    };
    let feature = if scenario == "runaway" { "an endless loop" } else { scenario };
    saw(subject.name, feature, &format!("`{outcome}` by {by}"));
}

/// The agent works until the time of an attempt is up: it is ended with the shell it started, and what it did is kept.
pub fn runs_out_of_time(subject: &'static Subject, seconds: u64) {
    let bench = Bench::new(subject, "script");
    let write = Step::Write { path: FILE.into(), text: GREETING.into() };
    // Claude Code refuses to wait by a `sleep` alone, codex waits for no command longer than some seconds, and gemini
    // gives up where one is repeated.
    let wait = |number: u32| Step::Shell(format!("n={number}; for second in 1 2 3; do sleep 1; done"));
    let steps: Vec<Step> = std::iter::once(write).chain((1..100).map(wait)).collect();
    bench.mock.script(Bench::RUN, &steps);
    let limits = json!({ "limits": { "attempts": 1, "attempt_seconds": seconds } });
    settle(&bench, &[("worker", subject, "script")], &greets(), &limits);
    let ran = run(&bench);
    assert_eq!(ran.attempts(), [("worker", "timed_out")], "{}", ran.shown());
    assert!(ran.detail().contains("wall timeout"), "{}", ran.shown());
    assert!(bench.mock.turns(Bench::RUN) >= 2, "it had written and was in its shell: {}", ran.shown());
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        bench.surround(git.args(arguments).current_dir(bench.slot()));
        String::from_utf8(git.output().expect("git runs").stdout).expect("text")
    };
    let refs = git(&["for-each-ref", "--format=%(refname)", "refs/ralph"]);
    let kept = refs.lines().find(|name| name.ends_with("/attempt-1")).unwrap_or_else(|| panic!("{refs}"));
    assert_eq!(git(&["show", &format!("{kept}:{FILE}")]), GREETING, "{}", ran.shown());
    saw(subject.name, "runs out of time", "`timed_out`, its work kept");
}

/// The agent does not say that anything went wrong: its attempt ends as one that reported nothing.
pub fn passes_for_an_end(subject: &'static Subject, scenario: &str) {
    let (_bench, ran) = run_once(subject, scenario, json!({ "limits": { "attempts": 1 } }));
    assert_eq!(ran.attempts(), [("worker", "incomplete")], "{}", ran.shown());
    saw(subject.name, scenario, "`incomplete`: it does not tell");
}
