//! The write fence: agents and checks may read and run everything, and write only where their work is.
//!
//! In reading order: `table` says who may write where, and why; `fence` makes of it the list for one process; `hold`
//! (Linux) has the kernel hold a process and all it starts to such a list, by Landlock.
//!
//! What it does not do: programs that act for others (a container daemon, the session's service manager) can be asked
//! to write elsewhere, nothing keeps an agent from the network, and modes, owners and times of files are not content:
//! Landlock lets them change. Programs that raise their rights (`sudo`) do not
//! work behind the fence, nor do sandboxes that mount.

mod fence;
mod table;

#[cfg(target_os = "linux")]
#[path = "hold.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "open.rs"]
mod platform;

pub use fence::{Places, WriteFence, write_fence};
pub use platform::Held;
pub use table::{Allowed, Kind, allowed};

use std::sync::OnceLock;

/// Set to `off`, it leaves the fence out: for tests of what happens without one, and where it gets in the way.
pub const SWITCH: &str = "RALPH_FENCE";

/// What the system offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// Processes are held, by this version of Landlock's interface.
    Held { abi: u32 },
    /// They are not; why, as a clause.
    Open { why: String },
}

impl Support {
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// Returns what this system offers; tried once per process, for real.
pub fn support() -> &'static Support {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    SUPPORT.get_or_init(|| {
        if std::env::var_os(SWITCH).is_some_and(|value| value == "off") {
            return Support::Open { why: format!("{SWITCH} is off") };
        }
        platform::try_out()
    })
}
