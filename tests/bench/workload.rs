//! What is asked of the servers: one workload a row of the table.

use crate::accounts::Scheme;
use crate::conversation::Question;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) question: Question,
    pub(crate) scheme: Scheme,
    pub(crate) connections: usize,
    /// Questions open at a time on each connection.
    pub(crate) in_flight: usize,
}

/// So many connections, and so many questions open on each.
type Shape = (usize, usize);

const KINDS: [(Question, Scheme, &[Shape]); 5] = [
    (Question::RightPassword, Scheme::Plain, &[(1, 1), (16, 1), (16, 32)]),
    (Question::WrongPassword, Scheme::Plain, &[(16, 1), (16, 32)]),
    // Fewer open, for two cores do not hash 512 in the four seconds in which gatepost answers, or says "not now".
    (Question::RightPassword, Scheme::Sha512Crypt, &[(1, 1), (16, 1), (16, 4)]),
    (Question::RightPassword, Scheme::Argon2id, &[(1, 1), (16, 1), (16, 4)]),
    (Question::DictLookup, Scheme::Argon2id, &[(16, 32)]),
];

impl Workload {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().flat_map(|(question, scheme, shapes)| {
            let workload = move |&(connections, in_flight)| Self { question, scheme, connections, in_flight };
            shapes.iter().map(workload)
        })
    }

    pub(crate) fn name(&self) -> String {
        let question = match self.question {
            Question::RightPassword => self.scheme.name().to_owned(),
            Question::WrongPassword => format!("wrong password, {}", self.scheme.name()),
            Question::DictLookup => "dict passdb look-up".to_owned(),
        };
        format!("{question}, {} × {}", self.connections, self.in_flight)
    }
}
