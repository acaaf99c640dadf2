//! gatepost: the place where a mail system's passwords live.

pub mod account;
pub mod administer;
pub mod authenticate;
pub mod change_password;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod hash_pool;
pub mod import;
pub mod listen;
pub mod password;
pub mod serve;
pub mod sessions;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod userdb;
pub mod web;
