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

/// Makes a test of each failure: the scenario, what it may be taken for, and the seconds until the limit lifts.
macro_rules! failures {
    ($subject:ident: $($name:ident: [$($outcome:ident),+] $(, lifts $lifts:ident)?;)*) => {
        mod failures {
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
