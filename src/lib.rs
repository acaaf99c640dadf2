//! gatepost: the place where a mail system's passwords live.
//!
//! # The house
//!
//! A file may use the floors below it, never one above; but `gatepost serve` is the daemon.
//!
//! | floor | modules | |
//! |---|---|---|
//! | 5 | [`daemon`] | joins the parts; alone may know all of them |
//! | 4 | [`serve`], [`web`], [`cli`], [`import`], [`outbox`] | doors: translate, call one use case, translate back; and the errands of a change |
//! | 3 | [`authenticate`], [`change_password`], [`administer`] | use cases; the order of steps is decided here and only here |
//! | 2 | [`throttle`], [`hash_pool`], [`store`], [`revocation`], [`sessions`] | machinery, blind to each other but for the store |
//! | 1 | [`account`], [`client_text`], [`password`], [`userdb`] | nouns and pure knowledge: no tokio, no SQL, no clock |
//! | 0 | [`gatepost_protocol`] | bytes to messages and back |
//!
//! The stairwell, used from several floors: [`config`], [`listen`], [`telemetry`].
//!
//! # A login
//!
//! [`listen`] accepts once it holds a permit. [`serve`] feeds bytes to a session of [`gatepost_protocol`], and makes an
//! [`Attempt`](authenticate::Attempt) of what it says. [`authenticate`] asks throttle, cache, store and hash pool, looks at
//! the generation again, and gives a [`Verdict`](authenticate::Verdict). The session makes that OK, FAIL or a hang-up,
//! whichever the peer understands.
//!
//! # A change
//!
//! A door calls [`change_password`] or [`administer`], which commit through [`revocation`]: from then on nothing that the
//! change voids is honoured here. The [`outbox`] finds the row in the log and brings it to Redis and to every Dovecot,
//! where [`sessions`] tells the sessions of before from those of after. Half a second later at most the door answers with
//! what has arrived so far, the receipt.
//!
//! # What runs
//!
//! - one accepting task for each listener, which waits for a permit, then for a connection, and ends first on TERM;
//! - one task for each connection, which waits for bytes, for verdicts, and for the peer to read; and one for each login
//!   under way on it, which waits for the store, a hash, and the time at which a refusal may leave;
//! - the hash threads, which wait for jobs, and are the only ones that compute for long;
//! - one task for each commit, which nobody can cancel, and waits for the store;
//! - the follower of the change log, which reads it once a second;
//! - the outbox, which waits for changes; one task for each account with changes that have not arrived everywhere, and one
//!   for each place they go to, which waits for that place;
//! - the writer of login entries, which waits for entries, and ends last;
//! - with Redis, [`revocation::counter`]: the keeper of the connection, which waits for a sign that it is lost, the one
//!   that listens, and the one that compares logins; and, on each new connection, one that raises everything again;
//! - the main task, which waits for signals.

pub mod account;
pub mod administer;
pub mod authenticate;
pub mod change_password;
pub mod cli;
pub mod client_text;
pub mod config;
pub mod daemon;
pub mod hash_pool;
pub mod import;
pub mod listen;
pub mod outbox;
pub mod password;
pub mod revocation;
pub mod serve;
pub mod sessions;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod userdb;
pub mod web;
