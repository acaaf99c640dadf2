//! `gatepost serve`: the daemon.

use std::path::PathBuf;

use super::Failure;
use crate::config::{Config, SYSTEM_FILE};
use crate::daemon::{self, StartError};
use crate::telemetry::logging::Logging;

/// Serves until it is told to stop.
pub(super) fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    // Named from now on: were it gone at a HUP, the built-in default would take its place.
    let file = file.or_else(|| Some(PathBuf::from(SYSTEM_FILE)).filter(|system| system.exists()));
    let config = Config::load(file.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
    let logging = Logging::start(config.fixed.log_format, config.live.log_level)
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    daemon::run(config, file, logging).map_err(|error| match error {
        StartError::Config(error) => Failure::Usage(error.to_string()),
        StartError::Store(error) => Failure::Unavailable(error.to_string()),
        StartError::FingerprintKey(_) | StartError::Listen(_) | StartError::Dovecot(_) | StartError::System { .. } => {
            Failure::No(error.to_string())
        }
    })
}
