//! A submission host for one test: a Postfix or an Exim, whoever answers its logins, and the mailboxes that every test
//! knows.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::dovecot::{Answerer, Dovecot, Setup, Version, make_run_directory, sockets_below};
use crate::exim::Exim;
use crate::gatepost::{Gatepost, Socket};
use crate::mailhost::{ALICE, BOB, CAROL, StoreFile, add_accounts};
use crate::postfix::{self, Postfix};
use crate::{User, short_directory, smtp};

/// What a test is run on, each with both answerers.
#[derive(Debug)]
pub struct Submission {
    pub smtp: SocketAddr,
    pub server: Server,
    pub who_answers: WhoAnswers,
    pub directory: TempDir,
}

#[derive(Debug)]
pub enum Server {
    Postfix(Postfix),
    Exim(Exim),
}

#[derive(Debug)]
pub enum WhoAnswers {
    Dovecot(Dovecot),
    Gatepost(Gatepost),
}

impl Submission {
    pub fn on_postfix(answerer: Answerer) -> Self {
        let directory = short_directory();
        let sockets = postfix::sockets(directory.path());
        let who_answers = WhoAnswers::start(answerer, directory.path(), sockets);
        let postfix = Postfix::start(directory.path());
        Self { smtp: postfix.smtp, server: Server::Postfix(postfix), who_answers, directory }
    }

    pub fn on_exim(answerer: Answerer) -> Self {
        let directory = short_directory();
        let auth = directory.path().join("auth");
        let owner = User::named("Debian-exim");
        let socket = Socket { name: "exim", protocol: "auth", path: auth.clone(), owner, mode: 0o600 };
        let who_answers = WhoAnswers::start(answerer, directory.path(), vec![socket]);
        let exim = Exim::start(directory.path(), &auth);
        Self { smtp: exim.smtp, server: Server::Exim(exim), who_answers, directory }
    }

    /// What is heard after the login of `user` by `mechanism`.
    pub fn log_in(&self, mechanism: &str, user: &str, password: &str) -> String {
        smtp::log_in(self.smtp, mechanism, user, password)
    }

    pub fn answerer(&self) -> Answerer {
        match self.who_answers {
            WhoAnswers::Dovecot(_) => Answerer::Dovecot,
            WhoAnswers::Gatepost(_) => Answerer::Gatepost,
        }
    }

    pub fn gatepost(&mut self) -> &mut Gatepost {
        match &mut self.who_answers {
            WhoAnswers::Gatepost(gatepost) => gatepost,
            WhoAnswers::Dovecot(_) => panic!("here Dovecot answers"),
        }
    }

    pub fn postfix(&self) -> &Postfix {
        match &self.server {
            Server::Postfix(postfix) => postfix,
            Server::Exim(_) => panic!("here mail is taken by Exim"),
        }
    }

    /// A Dovecot beside gatepost, to which Postfix hands over what it delivers.
    pub fn start_dovecot(&self) -> Dovecot {
        let listener = format!(
            "service lmtp {{\n  unix_listener {} {{\n    mode = 0666\n  }}\n}}\n",
            postfix::lmtp_socket(self.directory.path()).display()
        );
        fs::write(self.directory.path().join("local.conf"), listener).expect("cannot write Dovecot's local.conf");
        Dovecot::start(self.directory.path(), Setup::plain(Version::V2_3, Answerer::Gatepost, &[]))
    }

    pub fn store(&self) -> StoreFile {
        StoreFile::of(self.answerer(), self.directory.path())
    }
}

impl WhoAnswers {
    /// Dovecot has no more to offer than its auth protocol; gatepost offers all `sockets`, and those for a Dovecot that
    /// may be started beside it.
    fn start(answerer: Answerer, directory: &Path, sockets: Vec<Socket>) -> Self {
        let mailboxes = [ALICE, BOB, CAROL];
        match answerer {
            Answerer::Dovecot => {
                let listeners = sockets.iter().filter(|socket| socket.protocol == "auth");
                let text = listeners.fold(String::new(), |mut text, Socket { path, .. }| {
                    let path = path.display();
                    let _ = write!(text, "service auth {{\n  unix_listener {path} {{\n    mode = 0666\n  }}\n}}\n");
                    text
                });
                fs::write(directory.join("local.conf"), text).expect("cannot write Dovecot's local.conf");
                let setup = Setup::plain(Version::V2_3, answerer, &mailboxes);
                Self::Dovecot(Dovecot::start(directory, setup))
            }
            Answerer::Gatepost => {
                make_run_directory(directory);
                let sockets = [sockets, sockets_below(directory)].concat();
                let gatepost = Gatepost::start(directory, sockets, "");
                add_accounts(&gatepost, &mailboxes);
                Self::Gatepost(gatepost)
            }
        }
    }
}
