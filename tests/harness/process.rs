//! A program under test: its output as a log that can be waited on, its end awaited and never assumed.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// A running program; ended, with everything it started, when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
}

impl Process {
    /// Starts `command` with standard output and error going to the log.
    pub fn start(name: &str, mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().expect("cannot make a pipe");
        let child = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("cannot copy the pipe"))
            .stderr(writer)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        drop(command);
        let log = Arc::new(Log::default());
        let lines = Arc::clone(&log);
        thread::spawn(move || lines.fill(reader));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits for a line that holds `text` and was written at or after `from`.
    pub fn wait_for_log(&self, text: &str, from: LogMark) {
        if !self.log.wait(|lines, _| lines.iter().skip(from.0).any(|line| line.contains(text))) {
            panic!("{} never said {text:?}; it said:\n{}", self.name, self.log.text());
        }
    }

    /// Now, as a place in the log.
    pub fn mark(&self) -> LogMark {
        LogMark(self.log.state.lock().expect("the log's lock is whole").lines.len())
    }

    pub fn log(&self) -> String {
        self.log.text()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child has a pid");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Signals, and waits until neither the program nor a child of its holds the log open.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        if self.is_running() {
            self.signal(signal);
        }
        let status = self.child.wait().expect("a child can be waited for");
        if !self.log.wait(|_, closed| closed) {
            panic!("{} left processes behind; it said:\n{}", self.name, self.log.text());
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log.text());
            if self.is_running() {
                self.signal(Signal::TERM);
            }
            let _ = self.child.wait();
        } else {
            self.end(Signal::TERM);
        }
    }
}

/// A place in the log of a [`Process`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMark(usize);

#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    grew: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    closed: bool,
}

impl Log {
    fn fill(&self, reader: PipeReader) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.by_ref().take(64 * 1024).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            self.state.lock().expect("the log's lock is whole").lines.push(text);
            self.grew.notify_all();
        }
        self.state.lock().expect("the log's lock is whole").closed = true;
        self.grew.notify_all();
    }

    /// Whether `done` came true of the lines so far before patience, or the log itself, ended.
    fn wait(&self, done: impl Fn(&[String], bool) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().expect("the log's lock is whole");
        loop {
            if done(&state.lines, state.closed) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return false;
            }
            (state, _) = self.grew.wait_timeout(state, left).expect("the log's lock is whole");
        }
    }

    fn text(&self) -> String {
        self.state.lock().expect("the log's lock is whole").lines.join("\n")
    }
}
