//! Tables of tests: one test per line, named after it, and the names as a list for the page.

/// Makes a test of each case of [`crate::bench::cases`], some with an argument.
macro_rules! features {
    ($subject:ident: $($case:ident),* $(,)?; $($with:ident($argument:literal);)*) => {
        $(
            #[test]
            fn $case() {
                cases::$case(&$subject);
            }
        )*
        $(
            #[test]
            fn $with() {
                cases::$with(&$subject, $argument);
            }
        )*
    };
}

/// Makes a test of each case of [`crate::bench::looping`], some with arguments.
macro_rules! runs {
    ($subject:ident: $($case:ident$(($($argument:expr),+))?;)*) => {
        mod runs {
            use super::*;
            use crate::bench::looping;

            $(
                #[test]
                fn $case() {
                    looping::$case(&$subject $(, $($argument),+)?);
                }
            )*
        }
    };
}

/// Makes a test of each scenario in which the agent would go on for ever, or for too long: the limit that ends it.
macro_rules! bounds {
    ($subject:ident: $($name:ident: $bound:ident($number:expr);)*) => {
        mod bounds {
            use super::$subject;
            use crate::bench::looping::{Bound, is_bounded};

            $(
                #[test]
                fn $name() {
                    is_bounded(&$subject, &stringify!($name).replace('_', "-"), Bound::$bound($number));
                }
            )*
        }
    };
}

/// Makes a test of each failure: the scenario, what it may be taken for, and the seconds until the limit lifts. Those
/// that take more than a minute are `slow`, which is part of their name: `tests/run agents` plays them with
/// `--all-agents` only.
macro_rules! failures {
    (slow $($rest:tt)*) => { failures! { @slow $($rest)* } };
    ($subject:ident: $($rest:tt)*) => { failures! { @failures $subject: $($rest)* } };
    (@$module:ident $subject:ident: $($name:ident: [$($outcome:ident),+] $(, lifts $lifts:ident)?;)*) => {
        mod $module {
            use super::$subject;
            use crate::bench::cases::{Failure, fails};
            use ralph_sidecar::domain::outcome::Outcome;

            $(
                #[test]
                fn $name() {
                    let lifts: &[u64] = &[$(crate::mock::fault::$lifts)?];
                    let failure = Failure {
                        scenario: &stringify!($name).replace('_', "-"),
                        outcomes: &[$(Outcome::$outcome),+],
                        lifts: lifts.first().copied(),
                    };
                    fails(&$subject, &failure);
                }
            )*
        }
    };
}

/// The failures of Claude Code, however it is spoken to.
macro_rules! failures_of_claude {
    ($subject:ident) => {
        failures! { $subject:
            rate: [RateLimited];
            rate_long: [RateLimited], lifts LONG_SECONDS;
            quota: [RateLimited], lifts QUOTA_SECONDS;
            insufficient: [RateLimited, Auth];
            unauthorized: [Auth];
            forbidden: [Auth];
            no_model: [ModelUnavailable];
            billing: [Auth];
            context: [ContextExhausted];
            stream_context: [ContextExhausted];
            bad_request: [Crashed, InvalidOutput];
            internal: [Overloaded];
            html: [Overloaded, Network];
            unavailable: [Overloaded];
            overloaded: [Overloaded];
            hang_before: [Network];
            dropped: [Network];
            malformed: [Network, Overloaded];
            truncated: [Network, Overloaded];
            empty: [Network, Overloaded];
            stream_overloaded: [Overloaded];
            stream_quota: [RateLimited, Auth];
            max_tokens: [ContextExhausted, InvalidOutput];
        }
    };
}

/// The failures of codex, however it is spoken to.
macro_rules! failures_of_codex {
    ($subject:ident) => {
        failures! { $subject:
            rate: [RateLimited];
            quota: [RateLimited], lifts QUOTA_SECONDS;
            insufficient: [RateLimited, Auth];
            unauthorized: [Auth];
            forbidden: [Auth];
            no_model: [ModelUnavailable];
            billing: [Auth];
            context: [ContextExhausted];
            bad_request: [Crashed, InvalidOutput];
            internal: [Overloaded];
            html: [Overloaded, Network];
            unavailable: [Overloaded];
            overloaded: [Overloaded];
            hang_mid: [Network];
            dropped: [Network];
            malformed: [Network];
            truncated: [Network];
            empty: [Network];
            stream_overloaded: [Overloaded];
            stream_quota: [RateLimited, Auth];
            stream_context: [ContextExhausted];
            max_tokens: [ContextExhausted, InvalidOutput];
        }
    };
}
