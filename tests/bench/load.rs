//! Closed-loop load: so many connections, each with so many questions open, until the time is over and all is answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::Outcome;
use crate::conversation::{Conversation, Heard, Script};

/// How long after the end the last answer may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is asked, what, and how hard.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) script: Arc<Script>,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// The accounts, one after the other, over all rounds.
#[derive(Debug)]
pub(crate) struct Turn {
    next: AtomicUsize,
    count: usize,
    /// Whether it ends with the last account, or begins again.
    once: bool,
}

/// What came within the window.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) not_now: usize,
    /// Of every verdict, from question to answer.
    pub(crate) latencies: Vec<Duration>,
    /// Questions answered, within the window or not.
    pub(crate) answers: usize,
}

impl Load {
    pub(crate) async fn run(&self, socket: &Path, turn: &Arc<Turn>) -> Outcome<Tally> {
        let mut streams = Vec::new();
        for number in 0..self.connections {
            streams.push(connect(socket, &self.script, number).await?);
        }
        let begin = Instant::now() + self.warm_up;
        let window = (begin, begin + self.window);
        let mut tasks = JoinSet::new();
        for stream in streams {
            tasks.spawn(talk(stream, Arc::clone(&self.script), Arc::clone(turn), self.in_flight, window));
        }
        let all = async {
            let mut tally = Tally::default();
            while let Some(one) = tasks.join_next().await {
                let one = one??;
                tally.not_now += one.not_now;
                tally.answers += one.answers;
                tally.latencies.extend(one.latencies);
            }
            Outcome::Ok(tally)
        };
        timeout(self.warm_up + self.window + PATIENCE, all).await?
    }
}

impl Turn {
    pub(crate) fn new(count: usize, once: bool) -> Arc<Self> {
        Arc::new(Self { next: AtomicUsize::new(0), count, once })
    }

    /// How many came before, and the account.
    fn take(&self) -> Outcome<(usize, usize)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.once && number >= self.count {
            return Err("every account has logged in once; give more with --accounts, or fewer --seconds".into());
        }
        Ok((number, number % self.count))
    }
}

/// A connection on which the first question may be asked.
pub(crate) async fn connect(socket: &Path, script: &Script, number: usize) -> Outcome<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut heard = Vec::new();
    while !script.is_greeted(&heard) {
        if timeout(PATIENCE, stream.read_buf(&mut heard)).await?? == 0 {
            return Err("the connection was closed before its greeting".into());
        }
    }
    stream.write_all(script.opening(number).as_bytes()).await?;
    Ok(stream)
}

/// Asks one question about the first account and hears the answer.
pub(crate) async fn ask_once(stream: UnixStream, script: &Arc<Script>) -> Outcome<UnixStream> {
    let mut talk = Talk::new(stream, script);
    talk.conversation.ask(0, 0, Instant::now(), &mut talk.output)?;
    let mut heard = None;
    while heard.is_none() {
        talk.exchange().await?;
        while let Some(line) = talk.next_line() {
            heard = talk.conversation.hear(&line)?;
        }
    }
    Ok(talk.stream)
}

async fn talk(
    stream: UnixStream,
    script: Arc<Script>,
    turn: Arc<Turn>,
    in_flight: usize,
    (begin, end): (Instant, Instant),
) -> Outcome<Tally> {
    let mut talk = Talk::new(stream, &script);
    let mut tally = Tally::default();
    let mut now = Instant::now();
    loop {
        while now < end && talk.conversation.open() < in_flight {
            let (number, account) = turn.take()?;
            talk.conversation.ask(account, number, now, &mut talk.output)?;
        }
        if talk.conversation.open() == 0 {
            return Ok(tally);
        }
        talk.exchange().await?;
        now = Instant::now();
        while let Some(line) = talk.next_line() {
            let Some((heard, asked)) = talk.conversation.hear(&line)? else { continue };
            tally.answers += 1;
            match heard {
                _ if now < begin || now >= end => {}
                Heard::Verdict => tally.latencies.push(now - asked),
                Heard::NotNow => tally.not_now += 1,
            }
        }
    }
}

/// A connection with what waits in either direction.
struct Talk<'a> {
    stream: UnixStream,
    conversation: Conversation<'a>,
    output: Vec<u8>,
    input: Vec<u8>,
    /// Of the input, what has been read as lines.
    consumed: usize,
}

impl<'a> Talk<'a> {
    fn new(stream: UnixStream, script: &'a Script) -> Self {
        let (output, input) = (Vec::new(), Vec::with_capacity(64 * 1024));
        Self { stream, conversation: Conversation::new(script), output, input, consumed: 0 }
    }

    /// Says what is to be said, and waits until something is heard.
    async fn exchange(&mut self) -> Outcome<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.input.drain(..self.consumed);
        self.consumed = 0;
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err("the connection was closed with questions open".into());
        }
        Ok(())
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.input.get(self.consumed..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..length)?.to_vec();
        self.consumed += length + 1;
        Some(line)
    }
}
