//! Logging: one line an event, on stderr, for a terminal or for the journal.
//!
//! For the journal a line begins with its priority in angle brackets (sd-daemon(3)) and leaves out the time, which the
//! journal knows. The fields are part of the line: as fields of the journal's own, `journalctl` and fail2ban would not
//! show them.
//!
//! Trusts: nobody's text. What a client chose goes through [`quoted`]; the formatter escapes what is left.
//! Limits: a reader of stderr that has stopped reading stops whoever logs.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use rustix::fs::fstat;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use crate::config::{LogFormat, LogLevel};

/// Bytes of a client's text that are worth a log line: more than the longest address.
const QUOTED_LIMIT: usize = 340;

/// Changes what is logged while the daemon runs.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
}

impl Logging {
    /// Sends the log of this process where `format` says, from now on.
    ///
    /// # Errors
    /// When it goes somewhere already.
    pub fn start(format: LogFormat, level: LogLevel) -> Result<Self, StartError> {
        let (filter, handle) = reload::Layer::new(targets(level));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = if is_for_journal(format) {
            lines.with_ansi(false).event_format(Journal::new()).boxed()
        } else {
            lines.with_ansi(wants_colour()).with_target(false).boxed()
        };
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| StartError)?;
        Ok(Self { filter: handle })
    }

    pub fn set_level(&self, level: LogLevel) {
        // Fails only once the subscriber is gone, when nothing is logged any more.
        let _ = self.filter.reload(targets(level));
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cannot start logging: this process logs already")]
pub struct StartError;

/// Text that a client chose: in quotes, escaped to printable ASCII, and cut.
pub fn quoted(text: &(impl AsRef<[u8]> + ?Sized)) -> impl fmt::Display + '_ {
    Quoted(text.as_ref())
}

struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(QUOTED_LIMIT).filter(|(_, rest)| !rest.is_empty()) {
            Some((shown, rest)) => write!(formatter, "\"{}\" and {} bytes more", shown.escape_ascii(), rest.len()),
            None => write!(formatter, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

/// Libraries are heard when they warn; at `trace` they may say everything, for whoever looks for a fault in one.
fn targets(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let theirs = if level == LogLevel::Trace { ours } else { ours.min(LevelFilter::WARN) };
    Targets::new().with_default(theirs).with_target("gatepost", ours).with_target("gatepost_protocol", ours)
}

fn is_for_journal(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => {
            let stderr = fstat(io::stderr()).ok().map(|found| (found.st_dev, found.st_ino));
            is_journal(env::var("JOURNAL_STREAM").ok().as_deref(), stderr)
        }
        LogFormat::Terminal => false,
        LogFormat::Journald => true,
    }
}

/// Whether `JOURNAL_STREAM` names this device and inode (systemd.exec(5)); a process that was given another stderr
/// inherits the variable all the same.
fn is_journal(stream: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && named == stderr
}

fn wants_colour() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The usual line behind the priority that the journal reads off.
struct Journal(Format<Compact, ()>);

impl Journal {
    fn new() -> Self {
        Self(Format::default().compact().with_target(false).without_time())
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        // To the journal each line is an entry, with a priority of its own.
        let line = line.trim().replace('\n', "; ");
        writeln!(writer, "<{}>{line}", priority(*event.metadata().level()))
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_a_client_chose_is_quoted_escaped_and_cut() {
        let cases: &[(&[u8], &str)] = &[
            (b"ann@example.org", "\"ann@example.org\""),
            (b"", "\"\""),
            (b"a\" user=\"b", "\"a\\\" user=\\\"b\""),
            (b"a\r\nFeb 1 gatepost: login accepted", "\"a\\r\\nFeb 1 gatepost: login accepted\""),
            (b"\x1b[2J\0\x7f", "\"\\x1b[2J\\x00\\x7f\""),
            ("\u{202e}gro".as_bytes(), "\"\\xe2\\x80\\xaegro\""),
        ];
        for (text, shown) in cases {
            assert_eq!(quoted(text).to_string(), *shown);
        }
        assert_eq!(quoted(&"x".repeat(340)).to_string().len(), 342);
        let long = quoted(&"x".repeat(1 << 20)).to_string();
        assert!(long.len() < 400 && long.ends_with("\" and 1048236 bytes more"), "{long}");
    }

    #[test]
    fn the_journal_is_known_by_what_stderr_is() {
        let cases = [
            (Some("8:42"), Some((8, 42)), true),
            (Some("8:42"), Some((8, 43)), false),
            (Some("8:42"), None, false),
            (Some("nonsense"), Some((8, 42)), false),
            (None, Some((8, 42)), false),
            (None, None, false),
        ];
        for (stream, stderr, expected) in cases {
            assert_eq!(is_journal(stream, stderr), expected, "{stream:?} {stderr:?}");
        }
    }

    #[test]
    fn libraries_are_quieter_than_we_are() {
        let cases = [
            (LogLevel::Info, "gatepost::serve", Level::INFO, true),
            (LogLevel::Info, "gatepost::serve", Level::DEBUG, false),
            (LogLevel::Info, "sqlx::query", Level::INFO, false),
            (LogLevel::Info, "sqlx::query", Level::WARN, true),
            (LogLevel::Debug, "hyper", Level::DEBUG, false),
            (LogLevel::Error, "sqlx::query", Level::WARN, false),
            (LogLevel::Trace, "hyper", Level::TRACE, true),
        ];
        for (level, target, event, logged) in cases {
            assert_eq!(targets(level).would_enable(target, &event), logged, "{level:?} {target} {event}");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_for_the_journal_has_its_priority_and_its_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.event_format(Journal::new()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(user = %quoted("ann"), reason = "wrong", "login refused");
            tracing::error!("two\nlines");
        });
        let written = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert_eq!(written, "<6>INFO login refused user=\"ann\" reason=\"wrong\"\n<3>ERROR two; lines\n");
    }
}
