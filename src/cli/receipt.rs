//! `gatepost receipt ID`, and the receipt under every command that ended something: what has become of it, in words.

use clap::Args;

use super::{Client, Failure, output};
use crate::store::{EVERYONE, Step, StepKind, StepState};
use crate::web::Receipt;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The number that the change was told with.
    id: u64,
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, client: &mut Client) -> Result<(), Failure> {
        let receipt: Receipt = client.get(&format!("/receipts/{}", self.id)).await?;
        if self.json {
            return output::json(&receipt);
        }
        let of_whom = if receipt.user == EVERYONE { String::new() } else { format!(" of {}", receipt.user) };
        let state = if receipt.complete { "complete" } else { "not complete yet" };
        output::line(&format!("{}{of_whom} at {}: {state}", receipt.reason, receipt.at))?;
        receipt.steps.iter().try_for_each(|step| output::line(&format!("  {}", sentence(step))))
    }
}

/// What the change has reached beyond the store; where there is nothing to reach, nothing.
pub(super) fn print(receipt: &Receipt) -> Result<(), Failure> {
    summary(receipt).iter().try_for_each(|line| output::line(&format!("  {line}")))
}

fn summary(receipt: &Receipt) -> Vec<String> {
    let beyond = receipt.steps.iter().filter(|step| step.what != StepKind::Stored);
    let mut lines: Vec<String> = beyond.map(sentence).collect();
    if !receipt.complete {
        lines.push(format!("not complete yet; `gatepost receipt {}` shows how it goes on", receipt.id));
    }
    lines
}

fn sentence(step: &Step) -> String {
    let place = &step.place;
    let what = match (step.what, step.state) {
        (StepKind::Stored, StepState::Done) => "stored".to_owned(),
        (StepKind::Stored, _) => "to be stored".to_owned(),
        (StepKind::Counter, StepState::Done) => format!("counter raised at {place}"),
        (StepKind::Counter, _) => format!("the counter at {place}"),
        (StepKind::CacheFlush, StepState::Done) => format!("remembered logins forgotten at {place}"),
        (StepKind::CacheFlush, _) => format!("the remembered logins of {place}"),
        (StepKind::Kick, StepState::Done) => format!("{} ended at {place}", sessions(step.count)),
        (StepKind::Kick, _) if step.count.is_some_and(|count| count > 0) => {
            format!("the sessions at {place}, {} ended so far", step.count.unwrap_or_default())
        }
        (StepKind::Kick, _) => format!("the sessions at {place}"),
    };
    let mut sentence = match step.state {
        StepState::Done => what,
        StepState::Pending => format!("pending: {what}"),
        StepState::Failed => format!("failed: {what}"),
    };
    if let (StepState::Done, Some(ms), true) = (step.state, step.ms, step.what != StepKind::Stored) {
        sentence.push_str(&format!(" after {ms} ms"));
    }
    if let Some(note) = &step.note {
        sentence.push_str(&format!(" ({note})"));
    }
    sentence
}

fn sessions(count: Option<u64>) -> String {
    match count {
        None => "sessions".to_owned(),
        Some(0) => "no session had to be".to_owned(),
        Some(1) => "1 session".to_owned(),
        Some(count) => format!("{count} sessions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ChangeKind;

    fn step(what: StepKind, state: StepState, count: Option<u64>, ms: Option<u64>, note: Option<&str>) -> Step {
        Step { what, place: "imap1".to_owned(), state, count, ms, note: note.map(str::to_owned) }
    }

    #[test]
    fn a_step_is_told_in_words() {
        use StepKind::{CacheFlush, Counter, Kick, Stored};
        use StepState::{Done, Failed, Pending};
        for (step, expected) in [
            (step(Stored, Done, None, Some(0), None), "stored"),
            (step(Counter, Done, None, Some(2), None), "counter raised at imap1 after 2 ms"),
            (step(Counter, Pending, None, None, Some("no answer")), "pending: the counter at imap1 (no answer)"),
            (step(Kick, Done, Some(3), Some(40), None), "3 sessions ended at imap1 after 40 ms"),
            (step(Kick, Done, Some(0), None, None), "no session had to be ended at imap1"),
            (step(Kick, Pending, Some(1), None, None), "pending: the sessions at imap1, 1 ended so far"),
            (step(Kick, Failed, None, None, Some("refused")), "failed: the sessions at imap1 (refused)"),
            (step(CacheFlush, Done, None, Some(7), None), "remembered logins forgotten at imap1 after 7 ms"),
        ] {
            assert_eq!(sentence(&step), expected);
        }
    }

    #[test]
    fn a_receipt_is_silent_where_there_was_only_the_store() {
        let mut receipt = Receipt {
            id: 7,
            user: "ann@example.org".to_owned(),
            credential: None,
            generation: 7,
            reason: ChangeKind::PasswordSet,
            at: "2026-01-31T12:00:00Z".to_owned(),
            complete: true,
            steps: vec![step(StepKind::Stored, StepState::Done, None, None, None)],
        };
        assert_eq!(summary(&receipt), [""; 0]);
        receipt.steps.push(step(StepKind::Kick, StepState::Pending, None, None, Some("no answer")));
        receipt.complete = false;
        assert_eq!(
            summary(&receipt),
            [
                "pending: the sessions at imap1 (no answer)",
                "not complete yet; `gatepost receipt 7` shows how it goes on"
            ]
        );
    }
}
