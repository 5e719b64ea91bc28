//! A scripted model server on loopback: the only model the real agents of these tests ever talk to.
//!
//! It speaks Anthropic's Messages, OpenAI's Responses and chat completions, Gemini's generateContent and Ollama's API.
//! What it answers is in the address an agent is given, so that one server plays many tests at once:
//! `http://127.0.0.1:PORT/s/SCENARIO@RUN/…`. `RUN` is any name of the test's own; what came in is counted and kept under
//! it, for tests in [`Mock`] and for people as JSON at `/log/RUN` (with `?bodies` whole). [`scenario`] lists scenarios;
//! the steps of the scenario `script` are posted to `/script/RUN` as a list of [`play::Step`].
//!
//! It keeps no state but the counters: the next step follows from how many tool results the conversation holds.
//!
//! By hand: `cargo test --test agents -- --ignored serve --nocapture` prints the address and serves until it is killed;
//! `RALPH_MOCK_PORT` chooses the port. The base addresses agents take are:
//!
//! | agent | address |
//! | --- | --- |
//! | claude | `ANTHROPIC_BASE_URL=…/s/SCENARIO@RUN` |
//! | codex | `base_url = "…/s/SCENARIO@RUN/v1"`, `wire_api = "responses"` |
//! | opencode, and others with chat completions | `…/s/SCENARIO@RUN/v1` |
//! | gemini | `GOOGLE_GEMINI_BASE_URL=…/s/SCENARIO@RUN` |
//! | Ollama's clients | `…/s/SCENARIO@RUN` |

pub mod conversation;
pub mod cut;
pub mod dialect;
pub mod fault;
pub mod journal;
pub mod play;
pub mod scenario;
mod served;
pub mod server;
pub mod toolbox;

pub use server::Mock;
