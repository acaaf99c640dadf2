//! postmap asks a socketmap.

use gatepost_protocol::postfix::socketmap::{Answer, Query, SocketmapSession};

use super::Replay;

pub(crate) struct Socketmap {
    session: SocketmapSession,
    asked: Option<Query>,
}

pub(crate) fn begin() -> Socketmap {
    Socketmap { session: SocketmapSession::new(), asked: None }
}

impl Replay for Socketmap {
    fn receive(&mut self, bytes: &[u8]) {
        if let Err(error) = self.session.receive(bytes) {
            panic!("{error}");
        }
        if let Some(query) = self.session.next_query() {
            self.asked = Some(query);
        }
    }

    fn answer(&mut self, recorded: &str) {
        let Some(query) = self.asked.take() else {
            panic!("nobody asked before {recorded:?}");
        };
        assert!(query.map == "virt" && query.key.ends_with("@example.org"), "{query:?}");
        let reply = recorded.split_once(':').and_then(|(_, reply)| reply.strip_suffix(',')).unwrap_or_default();
        self.session.answer(match reply.split_once(' ') {
            Some(("OK", data)) => Answer::Found(data.to_owned()),
            Some(("NOTFOUND", _)) => Answer::NotFound,
            Some(("TEMP", text)) => Answer::Temporary(text.to_owned()),
            Some(("PERM", text)) => Answer::Permanent(text.to_owned()),
            _ => panic!("cannot answer {recorded:?}"),
        });
    }

    fn expected(&self, recorded: &str) -> Option<String> {
        // Postfix warns of an empty result and asks for this instead.
        Some(if recorded == "3:OK ," { "9:NOTFOUND ,".to_owned() } else { recorded.to_owned() })
    }

    fn said(&mut self) -> Option<String> {
        let output = self.session.output().split();
        (!output.is_empty()).then(|| String::from_utf8_lossy(&output).into_owned())
    }
}
