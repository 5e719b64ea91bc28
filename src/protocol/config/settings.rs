//! The settings in force: every layer folded over the defaults, with the origin of each.

use super::{AgentConfig, Autonomy, Base, Config, LandSettings, Notify, ReviewMode, ReviewerSettings, Role};
use crate::domain::task::{Limits, VerifyCommand};
use crate::protocol::queue_schema::VerifyEntry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Where a setting came from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    Default,
    User,
    Repository,
    Editor,
    CommandLine,
}

/// Bounds in force; seconds are wall time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Attempts that may fail before a person is asked.
    pub attempts: u32,
    pub attempt_seconds: u64,
    pub idle_seconds: u64,
    pub run_seconds: u64,
    /// Per task; unlimited when absent.
    pub tokens: Option<u64>,
    /// Per task; unlimited when absent.
    pub usd: Option<f64>,
    /// Per attempt; unlimited when absent.
    pub attempt_tokens: Option<u64>,
    /// Per attempt; unlimited when absent.
    pub attempt_usd: Option<f64>,
    /// Per run; unlimited when absent.
    pub run_tokens: Option<u64>,
    /// Per run; unlimited when absent.
    pub run_usd: Option<f64>,
    /// Per local day; unlimited when absent.
    pub day_tokens: Option<u64>,
    /// Per local day; unlimited when absent.
    pub day_usd: Option<f64>,
}

impl RunLimits {
    /// Returns these bounds with those that a task sets for itself.
    pub fn for_task(&self, task: &Limits) -> Self {
        Self {
            attempts: task.attempts.unwrap_or(self.attempts).max(1),
            attempt_seconds: task.attempt_seconds.unwrap_or(self.attempt_seconds),
            idle_seconds: task.idle_seconds.unwrap_or(self.idle_seconds),
            tokens: task.tokens.or(self.tokens),
            usd: task.usd.or(self.usd),
            ..*self
        }
    }
}

/// How failures that pass by themselves are waited out; the longest wait comes after the first ones have grown to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrySettings {
    /// Failures in a row after which an agent or model is left out for the rest of the run.
    pub cycles: u32,
    pub delay_seconds: u64,
    pub multiplier: u32,
    pub max_seconds: u64,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { cycles: 20, delay_seconds: 30, multiplier: 2, max_seconds: 600 }
    }
}

/// Which kinds of diagnostics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticSettings {
    pub pending: bool,
    pub decisions: bool,
    pub queue: bool,
}

/// Everything a run needs to know, fixed at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub agents: BTreeMap<String, AgentConfig>,
    /// Every role; empty where neither the role nor the implementer has a chain.
    pub chains: BTreeMap<Role, Vec<String>>,
    pub verify: Vec<VerifyCommand>,
    pub setup: Vec<VerifyCommand>,
    pub protect: Vec<String>,
    pub limits: RunLimits,
    #[serde(default)]
    pub retry: RetrySettings,
    pub parallel: u32,
    pub base: Base,
    pub review: ReviewMode,
    #[serde(default)]
    pub reviewer: ReviewerSettings,
    pub autonomy: Autonomy,
    #[serde(default, deserialize_with = "super::land::of_run")]
    pub land: LandSettings,
    pub notify: Notify,
    pub diagnostics: DiagnosticSettings,
    /// Layer of every setting that is in force, by dotted path: `limits.attempts`, `agents.claude`, `chains.planner`.
    /// A `protect` of several layers names the last of them.
    pub origins: BTreeMap<String, Layer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::resolve(&[])
    }
}

impl Settings {
    /// Folds the layers over the defaults, the first being the weakest.
    ///
    /// Agents and chains are replaced by name and role, lists whole, limits and diagnostics one by one. Only `protect`
    /// adds up, so that a repository cannot lift what its user protects.
    pub fn resolve(layers: &[(Layer, Config)]) -> Self {
        let mut settings = Self::defaults();
        for (layer, config) in layers {
            settings.apply(*layer, config);
        }
        settings.fill_roles();
        settings
    }

    fn defaults() -> Self {
        let limits = RunLimits {
            attempts: 4,
            attempt_seconds: 2700,
            idle_seconds: 600,
            run_seconds: 28_800,
            tokens: None,
            usd: None,
            attempt_tokens: None,
            attempt_usd: None,
            run_tokens: None,
            run_usd: None,
            day_tokens: None,
            day_usd: None,
        };
        let names = [
            "verify",
            "setup",
            "protect",
            "parallel",
            "base",
            "review",
            "reviewer.findings",
            "reviewer.rounds",
            "autonomy",
            "land.to",
            "land.message",
            "land.branch",
            "land.timeout_seconds",
            "notify",
            "limits.attempts",
            "limits.attempt_seconds",
            "limits.idle_seconds",
            "limits.run_seconds",
            "limits.tokens",
            "limits.usd",
            "limits.attempt_tokens",
            "limits.attempt_usd",
            "limits.run_tokens",
            "limits.run_usd",
            "limits.day_tokens",
            "limits.day_usd",
            "retry.cycles",
            "retry.delay_seconds",
            "retry.multiplier",
            "retry.max_seconds",
            "diagnostics.pending",
            "diagnostics.decisions",
            "diagnostics.queue",
        ];
        Self {
            agents: BTreeMap::new(),
            chains: BTreeMap::new(),
            verify: Vec::new(),
            setup: Vec::new(),
            protect: Vec::new(),
            limits,
            retry: RetrySettings::default(),
            parallel: 1,
            base: Base::default(),
            review: ReviewMode::default(),
            reviewer: ReviewerSettings::default(),
            autonomy: Autonomy::default(),
            land: LandSettings::default(),
            notify: Notify::default(),
            diagnostics: DiagnosticSettings { pending: true, decisions: true, queue: true },
            origins: names.into_iter().map(|name| (name.to_owned(), Layer::Default)).collect(),
        }
    }

    fn apply(&mut self, layer: Layer, config: &Config) {
        for (name, agent) in &config.agents {
            self.agents.insert(name.clone(), agent.clone());
            self.origins.insert(format!("agents.{name}"), layer);
        }
        for role in Role::ALL {
            if let Some(names) = config.chains.get(role) {
                self.chains.insert(role, names.clone());
                self.origins.insert(format!("chains.{role}"), layer);
            }
        }
        let mut origin = |name: &str| {
            self.origins.insert(name.to_owned(), layer);
        };
        let commands = |entries: &Vec<VerifyEntry>| entries.iter().map(VerifyEntry::to_domain).collect::<Vec<_>>();
        let mut set = Setter { origin: &mut origin };
        set.value("verify", &mut self.verify, config.verify.as_ref().map(commands));
        set.value("setup", &mut self.setup, config.setup.as_ref().map(commands));
        set.value("parallel", &mut self.parallel, config.parallel);
        set.value("base", &mut self.base, config.base);
        set.value("review", &mut self.review, config.review);
        set.value("reviewer.findings", &mut self.reviewer.findings, config.reviewer.findings);
        set.value("reviewer.rounds", &mut self.reviewer.rounds, config.reviewer.rounds);
        set.value("autonomy", &mut self.autonomy, config.autonomy);
        set.value("land.to", &mut self.land.to, config.land.to);
        set.value("land.message", &mut self.land.message, config.land.message.clone());
        set.value("land.branch", &mut self.land.branch, config.land.branch.clone());
        set.value("land.timeout_seconds", &mut self.land.timeout_seconds, config.land.timeout_seconds);
        set.value("notify", &mut self.notify, config.notify);
        let (limits, new) = (&mut self.limits, &config.limits);
        set.value("limits.attempts", &mut limits.attempts, new.attempts);
        set.value("limits.attempt_seconds", &mut limits.attempt_seconds, new.attempt_seconds);
        set.value("limits.idle_seconds", &mut limits.idle_seconds, new.idle_seconds);
        set.value("limits.run_seconds", &mut limits.run_seconds, new.run_seconds);
        set.value("limits.tokens", &mut limits.tokens, new.tokens.map(Some));
        set.value("limits.usd", &mut limits.usd, new.usd.map(Some));
        set.value("limits.attempt_tokens", &mut limits.attempt_tokens, new.attempt_tokens.map(Some));
        set.value("limits.attempt_usd", &mut limits.attempt_usd, new.attempt_usd.map(Some));
        set.value("limits.run_tokens", &mut limits.run_tokens, new.run_tokens.map(Some));
        set.value("limits.run_usd", &mut limits.run_usd, new.run_usd.map(Some));
        set.value("limits.day_tokens", &mut limits.day_tokens, new.day_tokens.map(Some));
        set.value("limits.day_usd", &mut limits.day_usd, new.day_usd.map(Some));
        let (retry, new) = (&mut self.retry, &config.retry);
        set.value("retry.cycles", &mut retry.cycles, new.cycles);
        set.value("retry.delay_seconds", &mut retry.delay_seconds, new.delay_seconds);
        set.value("retry.multiplier", &mut retry.multiplier, new.multiplier);
        set.value("retry.max_seconds", &mut retry.max_seconds, new.max_seconds);
        let (shown, new) = (&mut self.diagnostics, &config.diagnostics);
        set.value("diagnostics.pending", &mut shown.pending, new.pending);
        set.value("diagnostics.decisions", &mut shown.decisions, new.decisions);
        set.value("diagnostics.queue", &mut shown.queue, new.queue);
        if let Some(globs) = config.protect.as_ref().filter(|globs| !globs.is_empty()) {
            origin("protect");
            for glob in globs {
                if !self.protect.contains(glob) {
                    self.protect.push(glob.clone());
                }
            }
        }
    }

    /// A repository with one agent needs no chains; a missing role uses the implementer's, and its origin is a default.
    fn fill_roles(&mut self) {
        if !self.chains.contains_key(&Role::Implementer) && self.agents.len() == 1 {
            self.chains.insert(Role::Implementer, self.agents.keys().cloned().collect());
            let layer = self.agents.keys().find_map(|name| self.origins.get(&format!("agents.{name}")));
            let layer = layer.copied().unwrap_or(Layer::Default);
            self.origins.insert("chains.implementer".to_owned(), layer);
        }
        let implementer = self.chains.get(&Role::Implementer).cloned().unwrap_or_default();
        for role in Role::ALL {
            if let Entry::Vacant(chain) = self.chains.entry(role) {
                chain.insert(implementer.clone());
                self.origins.insert(format!("chains.{role}"), Layer::Default);
            }
        }
    }

    /// Returns the agents of a role in order; names without an agent are left out, see [`Self::problems`].
    pub fn agents_for(&self, role: Role) -> impl Iterator<Item = (&str, &AgentConfig)> {
        let names = self.chains.get(&role).into_iter().flatten();
        names.filter_map(|name| Some((name.as_str(), self.agents.get(name)?)))
    }

    /// Returns the first agent of a role.
    pub fn agent_for(&self, role: Role) -> Option<(&str, &AgentConfig)> {
        self.agents_for(role).next()
    }

    /// Tells whether somebody named agents for exactly this role; else it has the implementer's.
    pub fn is_named(&self, role: Role) -> bool {
        let origin = self.origins.get(&format!("chains.{role}"));
        origin.is_some_and(|layer| *layer != Layer::Default) && self.agents_for(role).next().is_some()
    }

    /// Returns every string that needs trust before it may run, without doubles: agents first, then setup, then checks.
    pub fn commands(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let agents = self.agents.values().map(AgentConfig::trust_string);
        for text in agents.chain(self.setup.iter().chain(&self.verify).map(trust_string)) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all
    }

    /// Says what only shows once the layers are together: chains that name no known agent.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (role, names) in &self.chains {
            for name in names.iter().filter(|name| !self.agents.contains_key(*name)) {
                let mut known: Vec<&str> = self.agents.keys().map(String::as_str).collect();
                if known.is_empty() {
                    known.push("none");
                }
                let text = format!("no agent is named `{name}`; known agents: {}", known.join(", "));
                if *role == Role::Implementer || self.chains.get(&Role::Implementer) != Some(names) {
                    problems.push(format!("chains.{role}: {text}"));
                }
            }
        }
        problems
    }
}

struct Setter<'a> {
    origin: &'a mut dyn FnMut(&str),
}

impl Setter<'_> {
    fn value<T>(&mut self, name: &str, slot: &mut T, new: Option<T>) {
        if let Some(new) = new {
            *slot = new;
            (self.origin)(name);
        }
    }
}

/// Returns what a person must trust before a check or setup command may run, as one string.
pub fn trust_string(command: &VerifyCommand) -> String {
    match &command.cwd {
        None => command.run.clone(),
        Some(cwd) => format!("cd {} && {}", super::agent::join(std::slice::from_ref(cwd)), command.run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{FindingsMode, parse_config};

    fn layer(text: &str) -> Config {
        parse_config(text).expect(text).0
    }

    #[test]
    fn later_layers_win_and_origins_tell() {
        let settings = Settings::resolve(&[
            (
                Layer::User,
                layer(r#"{"agents": {"a": {"command": "a"}}, "limits": {"attempts": 2, "usd": 5}, "protect": ["x"]}"#),
            ),
            (
                Layer::Repository,
                layer(
                    r#"{"limits": {"attempts": 9}, "verify": ["make"], "protect": ["y", "x"], "diagnostics": {"queue": false}}"#,
                ),
            ),
            (Layer::CommandLine, layer(r#"{"parallel": 3}"#)),
        ]);
        assert_eq!((settings.limits.attempts, settings.limits.usd, settings.limits.idle_seconds), (9, Some(5.0), 600));
        assert_eq!(settings.protect, ["x", "y"]);
        assert_eq!(settings.parallel, 3);
        assert!(!settings.diagnostics.queue && settings.diagnostics.pending);
        let origin = |name: &str| settings.origins.get(name).copied();
        assert_eq!(origin("limits.attempts"), Some(Layer::Repository));
        assert_eq!(origin("limits.usd"), Some(Layer::User));
        assert_eq!(origin("limits.idle_seconds"), Some(Layer::Default));
        assert_eq!(origin("parallel"), Some(Layer::CommandLine));
        assert_eq!(origin("agents.a"), Some(Layer::User));
        assert_eq!(origin("chains.reviewer"), Some(Layer::Default));
        assert!(!settings.is_named(Role::Reviewer) && settings.is_named(Role::Implementer));
        assert_eq!(settings.agent_for(Role::Reviewer).map(|(name, _)| name), Some("a"));
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn defaults_are_those_of_the_design() {
        let s = Settings::default();
        let l = s.limits;
        assert_eq!((l.attempts, l.attempt_seconds, l.idle_seconds, l.run_seconds), (4, 2700, 600, 28_800));
        assert_eq!(
            (s.parallel, s.autonomy, s.base, s.review),
            (1, Autonomy::Supervised, Base::WorkingTree, ReviewMode::Task)
        );
        assert!(s.agent_for(Role::Implementer).is_none());
    }

    #[test]
    fn a_reviewer_is_one_that_somebody_named() {
        let text = r#"{"agents": {"a": {"command": "a"}}, "chains": {"implementer": ["a"], "reviewer": ["a"]},
                       "reviewer": {"findings": "with-proposal", "rounds": 1}}"#;
        let settings = Settings::resolve(&[(Layer::Repository, layer(text))]);
        assert!(settings.is_named(Role::Reviewer) && !settings.is_named(Role::Planner));
        assert_eq!(settings.reviewer, ReviewerSettings { findings: FindingsMode::WithProposal, rounds: 1 });
        assert_eq!(Settings::default().reviewer.rounds, 2);
    }

    #[test]
    fn trust_does_not_depend_on_the_way_of_writing() {
        let one = layer(
            r#"{"agents": {"a": {"command": "sh  -c   'x y'"}}, "verify": ["make"], "setup": [{"run": "make", "cwd": "a b"}]}"#,
        );
        let two = layer(
            r#"{"agents": {"z": {"command": ["sh", "-c", "x y"]}}, "verify": [{"run": "make"}], "setup": [{"run": "make", "cwd": "a b"}]}"#,
        );
        let commands = Settings::resolve(&[(Layer::Repository, one)]).commands();
        assert_eq!(commands, Settings::resolve(&[(Layer::Repository, two)]).commands());
        assert_eq!(commands, ["sh -c 'x y'", "cd 'a b' && make", "make"]);
        let env = layer(r#"{"agents": {"a": {"command": "x", "env": {"LD_PRELOAD": "evil.so"}}}}"#);
        assert_eq!(Settings::resolve(&[(Layer::Repository, env)]).commands(), ["LD_PRELOAD=evil.so x"]);
    }

    #[test]
    fn unknown_agents_in_chains_are_named() {
        let s = Settings::resolve(&[(Layer::User, layer(r#"{"chains": {"implementer": ["b"]}}"#))]);
        assert_eq!(s.problems(), ["chains.implementer: no agent is named `b`; known agents: none"]);
    }
}
