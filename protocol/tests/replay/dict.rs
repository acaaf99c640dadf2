//! Dovecot's auth worker, plugins and doveadm on the dict socket.

use std::collections::BTreeMap;

use gatepost_protocol::dovecot::{
    dict::{DictEvent, DictSession},
    escape,
};

use super::{Replay, auth_client::take_line};

pub(crate) struct Dict {
    session: DictSession,
    asked: BTreeMap<u32, Asked>,
}

#[derive(Clone, Copy)]
enum Asked {
    Lookup,
    Iterate,
    Commit,
}

pub(crate) fn begin() -> Dict {
    Dict { session: DictSession::new(), asked: BTreeMap::new() }
}

impl Replay for Dict {
    fn receive(&mut self, bytes: &[u8]) {
        if let Err(error) = self.session.receive(bytes) {
            panic!("{error}");
        }
        while let Some(event) = self.session.next_event() {
            let (serial, asked) = match event {
                DictEvent::Hello { major, .. } => {
                    assert_eq!(major, 3);
                    continue;
                }
                DictEvent::Lookup { serial, .. } => (serial, Asked::Lookup),
                DictEvent::Iterate(iterate) => (iterate.serial, Asked::Iterate),
                DictEvent::Commit(commit) => (commit.serial, Asked::Commit),
            };
            self.asked.insert(serial, asked);
        }
    }

    fn answer(&mut self, recorded: &str) {
        let line = without_timing(recorded);
        let Some((serial, reply)) = line.strip_prefix('+').and_then(|line| line.split_once('\t')) else {
            panic!("no numbered reply: {recorded:?}");
        };
        let serial = serial.parse().unwrap_or_default();
        let Some(&asked) = self.asked.get(&serial) else {
            panic!("nobody asked before {recorded:?}");
        };
        let (letter, rest) = reply.split_at(reply.len().min(1));
        let mut fields = rest.split('\t').map(|field| escape::unescape(field.as_bytes()));
        let first = fields.next().unwrap_or_default();
        let second = fields.next().unwrap_or_default();
        let session = &mut self.session;
        match (letter, asked) {
            ("O", Asked::Lookup) => session.found(serial, &first),
            ("O", Asked::Iterate) => session.row(serial, &String::from_utf8_lossy(&first), &second),
            ("O", Asked::Commit) => session.committed(serial),
            ("N", _) => session.not_found(serial),
            ("W", _) => session.uncertain(serial, &String::from_utf8_lossy(&second)),
            ("F", Asked::Commit) => session.failed(serial, &String::from_utf8_lossy(&second)),
            ("F", _) => session.failed(serial, &String::from_utf8_lossy(&first)),
            ("", _) => session.finished(serial),
            _ => panic!("cannot answer {recorded:?}"),
        }
    }

    fn expected(&self, recorded: &str) -> Option<String> {
        Some(without_timing(recorded))
    }

    fn said(&mut self) -> Option<String> {
        take_line(self.session.output())
    }
}

/// We give no times: the client only logs them.
fn without_timing(recorded: &str) -> String {
    let fields: Vec<&str> = recorded.split('\t').collect();
    let is_number = |field: &&str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    match fields.as_slice() {
        [reply @ .., a, b, c, d] if reply.len() >= 2 && [a, b, c, d].into_iter().all(is_number) => reply.join("\t"),
        _ => recorded.to_owned(),
    }
}
