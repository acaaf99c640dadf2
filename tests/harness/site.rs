//! A whole mail host: gatepost, a Redis, a Dovecot with the HTTP API of its doveadm, and a Postfix where one is wanted.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::dovecot::{Answerer, Dovecot, Mailbox, Setup, Version, base_below, make_run_directory, sockets_below};
use crate::gatepost::{Gatepost, Socket};
use crate::mailhost::add_accounts;
use crate::postfix::{self, Postfix};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::{User, short_directory};

/// What gatepost calls the Dovecot here.
pub const DOVECOT: &str = "mail1";
const API_KEY: &str = "of doveadm alone";
/// A socket called so speaks HTTP, in all versions.
const HTTP_API: &str = "service doveadm {\n  unix_listener http {\n    mode = 0600\n  }\n}\n";

#[derive(Debug)]
pub struct Site {
    pub dovecot: Dovecot,
    pub gatepost: Gatepost,
    pub redis: Redis,
    /// Between gatepost and Dovecot's API.
    pub proxy: Proxy,
    pub directory: TempDir,
}

impl Site {
    /// With these mailboxes; `settings` is TOML beside the usual.
    pub fn start(version: Version, mailboxes: &[Mailbox], settings: &str) -> Self {
        let directory = short_directory();
        let below = directory.path();
        let redis = Redis::start();
        let proxy = Proxy::start(&base_below(below).join("http"), API_KEY);
        make_run_directory(below);
        let auth = Socket { name: "auth", protocol: "auth", path: below.join("auth"), owner: User::ROOT, mode: 0o666 };
        let sockets = [postfix::sockets(below), sockets_below(below), vec![auth]].concat();
        let settings = format!("{settings}{}", peers(&redis, proxy.address()));
        let gatepost = Gatepost::start(below, sockets, &settings);
        add_accounts(&gatepost, mailboxes);
        fs::write(below.join("local.conf"), format!("doveadm_api_key = {API_KEY}\n{HTTP_API}"))
            .expect("cannot write Dovecot's local.conf");
        let dovecot = Dovecot::start(below, Setup::plain(version, Answerer::Gatepost, &[]));
        Self { dovecot, gatepost, redis, proxy, directory }
    }

    /// One that asks this gatepost.
    pub fn start_postfix(&self) -> Postfix {
        Postfix::start(self.directory.path())
    }

    /// The generation that everybody else compares with; empty if Redis knows none.
    pub fn counter(&self, user: &str) -> String {
        self.redis.value(&format!("gatepost:generation:{user}"))
    }
}

/// Of gatepost.
fn peers(redis: &Redis, doveadm: SocketAddr) -> String {
    format!(
        "\n[redis]\naddresses = [\"{}\"]\n\n[dovecot.{DOVECOT}]\nurl = \"http://{doveadm}\"\napi_key = \"{API_KEY}\"\n",
        redis.address()
    )
}
