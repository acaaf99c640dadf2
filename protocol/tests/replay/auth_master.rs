//! Mail processes and doveadm on the master and userdb sockets.

use gatepost_protocol::dovecot::{
    escape,
    master::{MasterEvent, MasterSession, Role},
};

use super::{Replay, auth_client::take_line, server_field, transcript::Connection};

pub(crate) struct AuthMaster {
    session: MasterSession,
    asked: Vec<u32>,
}

pub(crate) fn begin(connection: &Connection) -> AuthMaster {
    let Some(server_pid) = server_field(connection, "SPID").and_then(|text| text.parse().ok()) else {
        panic!("{connection} has no handshake");
    };
    let mut master = AuthMaster { session: MasterSession::new(Role::Master, server_pid), asked: Vec::new() };
    assert_eq!(master.said().as_deref(), Some("VERSION\t1\t1"));
    assert_eq!(master.said(), Some(format!("SPID\t{server_pid}")));
    master
}

impl Replay for AuthMaster {
    fn receive(&mut self, bytes: &[u8]) {
        if let Err(error) = self.session.receive(bytes) {
            panic!("{error}");
        }
        while let Some(event) = self.session.next_event() {
            self.asked.push(match event {
                MasterEvent::Request(hand_off) => hand_off.id,
                MasterEvent::User(lookup) | MasterEvent::Pass(lookup) => lookup.id,
                MasterEvent::List { id, .. } | MasterEvent::CacheFlush { id, .. } => id,
            });
        }
    }

    fn answer(&mut self, recorded: &str) {
        let mut fields = recorded.split('\t').map(|field| {
            let field = escape::unescape(field.as_bytes());
            String::from_utf8_lossy(&field).into_owned()
        });
        let (word, id) = (fields.next().unwrap_or_default(), fields.next().and_then(|id| id.parse().ok()));
        let Some(id) = id.filter(|id| self.asked.contains(id)) else {
            panic!("nobody asked before {recorded:?}");
        };
        let first = fields.next().unwrap_or_default();
        let others: Vec<_> = fields
            .filter(|field| !field.is_empty())
            .map(|field| {
                let (name, value) = field.split_once('=').unwrap_or((&field, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let session = &mut self.session;
        match word.as_str() {
            "USER" => assert_eq!(session.user(id, &first, &others), Ok(())),
            "PASS" => assert_eq!(session.pass(id, first.trim_start_matches("user="), &others), Ok(())),
            "NOTFOUND" => session.not_found(id),
            "LIST" => session.list_row(id, &first),
            "DONE" => session.list_done(id, first.is_empty()),
            "OK" => session.flushed(id, first.parse().unwrap_or_default()),
            _ => panic!("cannot answer {recorded:?}"),
        }
    }

    fn expected(&self, recorded: &str) -> Option<String> {
        match recorded.split('\t').next() {
            Some("VERSION" | "SPID") => None,
            // The TAB before no fields means nothing.
            Some("PASS") => Some(recorded.trim_end_matches('\t').to_owned()),
            _ => Some(recorded.to_owned()),
        }
    }

    fn said(&mut self) -> Option<String> {
        take_line(self.session.output())
    }
}
