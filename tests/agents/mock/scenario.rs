//! Scenarios: what the model does and what goes wrong meanwhile, by the name in the address.
//!
//! | name | what happens |
//! | --- | --- |
//! | a play: `ok write silent shell mcp plan plan-command reports work criticised finished blocked ask approve findings slow runaway glutton repair` | see [`Play::named`] |
//! | `script` | the steps posted to `/script/RUN` |
//! | a fault, of [`super::fault::FAULTS`] | every request fails so |
//! | `fail.N.FAULT[.PLAY]` | the first N turns fail, then the play goes on (`write` by default) |
//! | `after.N.FAULT[.PLAY]` | the play goes on for N turns, then every one fails |
//! | `ctx.N.…` | Ollama's model has a window of N tokens and forgets what is older |
//! | `no-tools.…` | Ollama's model says that it knows no tools |
//! | `weak.…` | the model answers with words where it should call a tool |

use super::fault::Fault;
use super::play::Play;

/// What is played at one address.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// None for `script`.
    pub play: Option<Play>,
    pub fault: Option<(When, Fault)>,
    /// Tokens of the model's window; for Ollama only.
    pub context: u64,
    /// Whether the model says that it knows tools; for Ollama only.
    pub tools: bool,
    /// Whether the model never calls one.
    pub weak: bool,
}

/// Which turns a fault hits, by their number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    UpTo(u64),
    After(u64),
}

impl When {
    /// Tells whether the fault hits; `turn` is none for the small requests beside turns, which only a lasting fault hits.
    pub fn hits(self, turn: Option<u64>) -> bool {
        match (self, turn) {
            (Self::Always, _) => true,
            (Self::UpTo(count), Some(turn)) => turn <= count,
            (Self::After(count), Some(turn)) => turn > count,
            (_, None) => false,
        }
    }
}

impl Scenario {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// Which word is not known.
    pub fn read(name: &str) -> Result<Self, String> {
        let mut words = name.split('.').peekable();
        let mut scenario = Self { play: Play::named("write"), fault: None, context: 32_768, tools: true, weak: false };
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or("a number is missing");
            match word {
                "ctx" => scenario.context = number()?,
                "no-tools" => scenario.tools = false,
                "weak" => scenario.weak = true,
                "fail" | "after" => {
                    let count = number()?;
                    let fault = words.next().and_then(Fault::named).ok_or("a fault is missing")?;
                    let when = if word == "fail" { When::UpTo(count) } else { When::After(count) };
                    scenario.fault = Some((when, fault));
                }
                "script" => scenario.play = None,
                _ => match (Fault::named(word), Play::named(word)) {
                    (Some(fault), _) => scenario.fault = Some((When::Always, fault)),
                    (_, Some(play)) => scenario.play = Some(play),
                    _ => return Err(format!("no scenario, play or fault is called `{word}`")),
                },
            }
        }
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::fault::Refusal;

    #[test]
    fn names_are_read() {
        let scenario = Scenario::read("ctx.4096.fail.2.overloaded.mcp").expect("known");
        assert_eq!(scenario.context, 4096);
        assert_eq!(scenario.fault, Some((When::UpTo(2), Fault::Refused(Refusal::Overloaded))));
        assert_eq!(scenario.play, Play::named("mcp"));
        assert_eq!(Scenario::read("fail.1.rate").expect("known").play, Play::named("write"));
        for wrong in ["nonsense", "fail.x.rate", "fail.1", "after.1.nonsense", ""] {
            assert!(Scenario::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_hit_the_turns_they_are_for() {
        let hits = |when: When| [Some(1), Some(2), Some(3), None].map(|turn| when.hits(turn));
        assert_eq!(hits(When::Always), [true; 4]);
        assert_eq!(hits(When::UpTo(2)), [true, true, false, false]);
        assert_eq!(hits(When::After(2)), [false, false, true, false]);
    }
}
