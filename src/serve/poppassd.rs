//! The `poppassd` socket: a webmail changes the password of the user who is logged in to it.
//!
//! The current password is verified at `pass`, once: who mistypes it is told so before a new one is asked for, which is
//! what webmails expect, and `newpass` costs no second verification. What was proven holds while the account stays as it
//! was, so of two webmails at once one wins.
//!
//! Trusts: nobody. Whoever connects is the origin of all its users, and their wrong passwords are counted per account.
//! Fails:  with a line that the webmail can show: "no" says what to do, "not now" when to try again.
//! Limits: no TLS, so the configuration keeps it on loopback. `allow_nets` judges the webmail's address.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_protocol::Secret;
use gatepost_protocol::poppassd::{PoppassdEvent, PoppassdSession};
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{Gate, Stream, WRITE_PATIENCE, flush};
use crate::authenticate::{Attempt, Outage, Purpose, Refusal};
use crate::change_password::{Moment, NotDone, NotProven, Owner, Proof, Refused};
use crate::listen::Peer;
use crate::password::policy::Reason;
use crate::store::{Conflict, Door};

/// A webmail has everything at hand when it connects.
const PATIENCE: Duration = Duration::from_secs(60);
/// A person who sets a password waits longer than a mail client that logs in.
const HASH_PATIENCE: Duration = Duration::from_secs(10);
const READ_SIZE: usize = 1024;

const NOT_NOW: &str = "The password cannot be changed now; try again in a minute.";

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's own; what the peer said wrong is logged here.
pub async fn serve(stream: impl Stream, peer: Peer, gate: Arc<Gate>, shutdown: CancellationToken) -> io::Result<()> {
    Conversation { stream, session: PoppassdSession::new(), owner: None, peer, gate }.run(shutdown).await
}

struct Conversation<S> {
    stream: S,
    session: PoppassdSession,
    /// Whose current password was right.
    owner: Option<Owner>,
    peer: Peer,
    gate: Arc<Gate>,
}

/// What the webmail is told, and may show.
enum Answer {
    Yes(String),
    No(String),
    NotNow(&'static str),
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, shutdown: CancellationToken) -> io::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut buffer = Zeroizing::new(vec![0; READ_SIZE]);
        loop {
            flush(&mut self.stream, self.session.output(), WRITE_PATIENCE).await?;
            if self.session.hangs_up() {
                return Ok(());
            }
            if let Some(event) = self.session.next_event() {
                self.answer(event).await;
                continue;
            }
            match heard(&mut self.stream, &mut buffer, begun, &shutdown).await? {
                Heard::Bytes(bytes) => {
                    if let Err(error) = self.session.receive(bytes) {
                        tracing::warn!(peer = %self.peer, %error, "poppassd client spoke out of turn; connection closed");
                    }
                }
                Heard::End => return Ok(()),
                Heard::TooLate => self.session.put_off("That took too long; try again."),
                Heard::Stopping => self.session.put_off(NOT_NOW),
            }
        }
    }

    async fn answer(&mut self, event: PoppassdEvent) {
        let answer = match event {
            PoppassdEvent::Current { user, password } => self.prove(user, password).await,
            PoppassdEvent::New { password } => self.change(password).await,
        };
        match answer {
            Answer::Yes(text) => self.session.accept(&text),
            Answer::No(why) => self.session.refuse(&why),
            Answer::NotNow(why) => self.session.put_off(why),
        }
    }

    async fn prove(&mut self, user: String, password: Secret) -> Answer {
        let current = Attempt {
            name: user,
            authzid: None,
            password,
            purpose: Purpose::Account,
            service: "poppassd".to_owned(),
            origin: self.peer.origin(),
            no_penalty: false,
            session: None,
            user_agent: None,
            arrived: Instant::now(),
            at: Timestamp::now(),
        };
        let Proof { outcome, answer_at } = self.gate.change_password.prove(&current, Door::Poppassd).await;
        tokio::time::sleep_until(answer_at.into()).await;
        match outcome {
            Ok(owner) => {
                self.owner = Some(owner);
                Answer::Yes("Your new password, please.".to_owned())
            }
            Err(NotProven::Refused(refusal)) => refused(&refusal),
            Err(NotProven::Unverified(outage)) => put_off(&outage),
        }
    }

    async fn change(&mut self, new: Secret) -> Answer {
        // The session asks for a new password only after a current one that was right.
        let Some(owner) = self.owner.take() else { return Answer::NotNow(NOT_NOW) };
        let moment = Moment { now: Timestamp::now(), deadline: Instant::now() + HASH_PATIENCE };
        match self.gate.change_password.change_own(owner, new, moment).await {
            Ok(set) => Answer::Yes(format!("The password is changed; receipt {}.", set.receipt.row.number)),
            Err(error) => not_done(&error),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Heard<'buffer> {
    Bytes(&'buffer [u8]),
    /// The webmail has closed.
    End,
    /// However much it said, the conversation has gone on too long.
    TooLate,
    /// The daemon is told to stop.
    Stopping,
}

async fn heard<'buffer>(
    stream: &mut impl Stream,
    buffer: &'buffer mut [u8],
    begun: tokio::time::Instant,
    shutdown: &CancellationToken,
) -> io::Result<Heard<'buffer>> {
    let read = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Heard::Stopping),
        () = tokio::time::sleep_until(begun + PATIENCE) => return Ok(Heard::TooLate),
        read = stream.read(buffer) => read?,
    };
    Ok(buffer.get(..read).filter(|bytes| !bytes.is_empty()).map_or(Heard::End, Heard::Bytes))
}

/// As at a login, only the right password learns that its mailbox is disabled.
fn refused(refusal: &Refusal) -> Answer {
    Answer::No(match refusal {
        Refusal::Wrong | Refusal::Previous | Refusal::Network | Refusal::Authorization => {
            "The current password is wrong.".to_owned()
        }
        Refusal::Disabled => "This mailbox is disabled.".to_owned(),
    })
}

/// The log has the cause.
fn put_off(outage: &Outage) -> Answer {
    Answer::NotNow(match outage {
        Outage::Throttled { .. } => "Too many wrong passwords; wait a few minutes, then try again.",
        _ => NOT_NOW,
    })
}

fn not_done(error: &NotDone) -> Answer {
    match error {
        NotDone::Refused(Refused::Policy(reasons)) => Answer::No(unmet(reasons)),
        NotDone::Refused(Refused::Conflict(Conflict::Moved | Conflict::NoAccount)) => {
            Answer::No("This mailbox was changed a moment ago; log in again first.".to_owned())
        }
        NotDone::Refused(refused) => Answer::No(format!("The password cannot be changed: {refused}.")),
        NotDone::NotNow(cause) => {
            tracing::warn!(%cause, "password change put off");
            Answer::NotNow(NOT_NOW)
        }
    }
}

/// Everything that a new password lacks, in one sentence.
fn unmet(reasons: &[Reason]) -> String {
    let reasons: Vec<_> = reasons.iter().map(Reason::to_string).collect();
    format!("Choose another password: {}.", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A byte now and then buys no time.
    #[tokio::test(start_paused = true)]
    async fn a_webmail_that_takes_longer_than_a_minute_is_given_up() {
        let (mut webmail, mut ours) = tokio::io::duplex(64);
        let (shutdown, mut buffer) = (CancellationToken::new(), [0; 64]);
        let begun = tokio::time::Instant::now();
        for second in [0, 20, 40, 59] {
            tokio::time::sleep_until(begun + Duration::from_secs(second)).await;
            webmail.write_all(b"u").await.expect("written");
            let said = heard(&mut ours, &mut buffer, begun, &shutdown).await.expect("open");
            assert_eq!(said, Heard::Bytes(b"u"), "after {second} s");
        }
        assert_eq!(heard(&mut ours, &mut buffer, begun, &shutdown).await.expect("open"), Heard::TooLate);
        assert_eq!(begun.elapsed().as_secs(), 60);
        shutdown.cancel();
        assert_eq!(heard(&mut ours, &mut buffer, begun, &shutdown).await.expect("open"), Heard::Stopping);
    }

    #[test]
    fn all_that_a_password_lacks_is_one_sentence_that_fits_in_the_line() {
        use Reason as R;
        let all = [
            R::TooShort { least: 256 },
            R::TooLong,
            R::NoUpperCase,
            R::NoLowerCase,
            R::NoDigit,
            R::NoSpecial,
            R::ControlCharacter,
            R::Guessable,
            R::NotUtf8,
        ];
        let sentence = unmet(&all);
        let mut session = PoppassdSession::new();
        session.output().clear();
        session.refuse(&sentence);
        assert_eq!(String::from_utf8_lossy(session.output()), format!("500 {sentence}\r\n"));
        assert_eq!(
            unmet(&[R::TooShort { least: 8 }, R::NoDigit]),
            "Choose another password: use at least 8 characters; add a digit."
        );
    }
}
