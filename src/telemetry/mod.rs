//! Telemetry: what the daemon says of itself, in lines for people and in numbers for machines.

pub mod logging;
pub mod metrics;
