//! Daemons that leave their process group, change their user or start others: in a pid namespace of their own, whose
//! end is the end of them all.

use std::process::Command;
use std::thread;

use rustix::process::Signal;

use crate::process::{LogMark, Process};

#[derive(Debug)]
pub(crate) struct Confined(Process);

impl Confined {
    /// Starts the program and arguments of `command`, and waits until it says `ready`.
    pub(crate) fn start(name: &str, command: &Command, ready: &str) -> Self {
        let mut confined = Command::new("unshare");
        // The shell is there to stay root: the kernel forgets --kill-child for a process that changes user.
        confined.args(["--pid", "--fork", "--kill-child", "sh", "-c", r#""$@"; exit $?"#, "sh"]);
        confined.arg(command.get_program()).args(command.get_args());
        let process = Process::start(name, confined);
        process.wait_for_log(ready, LogMark::default());
        Self(process)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.0
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // unshare(1) does not heed TERM.
        if thread::panicking() {
            self.0.signal(Signal::KILL);
        } else {
            self.0.end(Signal::KILL);
        }
    }
}
