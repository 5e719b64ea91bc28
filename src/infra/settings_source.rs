//! Configuration files and the trust store, as the engine asks for them.

use super::paths::{Homes, StatePaths};
use super::trust::TrustStore;
use crate::engine::ports::{Clock, Layers, PortError, PortResult, SettingsSource};
use crate::protocol::config::{Layer, parse_config};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files of one checkout and its user.
pub struct FileSettings {
    user: PathBuf,
    repository: PathBuf,
    trust: TrustStore,
}

impl FileSettings {
    /// Names the files; reads nothing yet.
    pub fn new(homes: &Homes, paths: &StatePaths, root: &Path) -> Self {
        Self { user: homes.config_file(), repository: root.join(".ralph/config.json"), trust: TrustStore::open(paths) }
    }

    /// Reads both files, in the order to fold them, with warnings.
    ///
    /// # Errors
    ///
    /// Names the file and the place of the first mistake.
    pub fn read(&self) -> PortResult<Layers> {
        let mut layers = Vec::new();
        let mut warnings = Vec::new();
        for (layer, path) in [(Layer::User, &self.user), (Layer::Repository, &self.repository)] {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PortError::new(format!("read {}: {error}", path.display()))),
            };
            let (config, found) = parse_config(&text).map_err(|error| PortError {
                message: format!("understand {}: {error}", path.display()),
                hint: error.hint.clone(),
                data: true,
            })?;
            warnings.extend(
                found.iter().map(|warning| format!("{}:{}: {}", path.display(), warning.line, warning.message)),
            );
            layers.push((layer, config));
        }
        Ok((layers, warnings))
    }

    /// Returns the command strings a person trusts here.
    ///
    /// # Errors
    ///
    /// When the list is damaged or cannot be read.
    pub fn trusted_now(&self) -> PortResult<BTreeSet<String>> {
        self.trust.commands().map_err(|error| PortError { data: true, ..PortError::new(error.to_string()) })
    }
}

#[async_trait]
impl SettingsSource for FileSettings {
    async fn layers(&self) -> PortResult<Layers> {
        self.read()
    }

    async fn trusted(&self) -> PortResult<BTreeSet<String>> {
        self.trusted_now()
    }

    async fn trust(&self, commands: &[String]) -> PortResult<()> {
        self.trust.add(commands).map_err(|error| PortError::new(error.to_string()))
    }
}

/// The machine's clock and chance.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn utc_offset_seconds(&self) -> i32 {
        jiff::Zoned::now().offset().seconds()
    }

    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        // Each state is keyed by the system's randomness.
        std::hash::RandomState::new().build_hasher().finish()
    }
}
