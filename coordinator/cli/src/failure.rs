//! How a command fails: one sentence, what to do, and an exit code that a script can tell apart.

use std::fmt;

use trine_protocol::errors::{Code, Problem};

use super::human::clean;
use trine_store::OpenError;

/// Why a command ends with something other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked about is in a bad state: rolled back, not replayed, tour check failed, server did not start.
    Bad = 1,
    /// The command or the configuration cannot be used (also what clap exits with).
    Usage = 2,
    /// The coordinator cannot be reached, or cannot answer now.
    Unreachable = 3,
    /// The coordinator refused.
    Refused = 4,
    /// The coordinator knows no such thing.
    NotFound = 5,
    /// Another process runs under this coordinator's name.
    NameTaken = 6,
    /// The reader of the output has left. Nothing is wrong.
    ReaderGone = 0,
}

/// The end of a command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    remedy: String,
}

impl Failure {
    fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), remedy: String::new() }
    }

    /// The thing asked about is in a bad state.
    pub fn bad(message: impl fmt::Display) -> Self {
        Self::new(Exit::Bad, message)
    }

    /// As [`Self::bad`], when standard output tells the failure already.
    pub fn said() -> Self {
        Self::bad("")
    }

    /// The command or the configuration cannot be used.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Another process has this coordinator's name.
    pub fn name_taken(message: impl fmt::Display) -> Self {
        Self::new(Exit::NameTaken, message)
    }

    /// A store that cannot be opened.
    pub fn store(error: &OpenError) -> Self {
        match error {
            OpenError::Url { .. } => Self::usage(error),
            OpenError::NameInUse { .. } => Self::name_taken(error),
            OpenError::InUse { .. } | OpenError::Newer { .. } | OpenError::Failed { .. } => Self::bad(error),
        }
    }

    /// The coordinator cannot be reached, or cannot answer now.
    pub fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// Standard output is closed.
    pub fn reader_gone() -> Self {
        Self::new(Exit::ReaderGone, "")
    }

    /// A problem document of the coordinator. What is temporary counts as not reachable: ask again.
    pub fn problem(problem: &Problem) -> Self {
        let mut message = format!("{} ({}): {}", problem.title, problem.code, problem.detail);
        if let Some(field) = &problem.field {
            message.push_str(&format!(" [field: {field}]"));
        }
        let message = clean(&message);
        match problem.status {
            // A path the server does not have is a wrong question, not a missing thing.
            404 if problem.code != "TX0014" => Self::new(Exit::NotFound, message),
            // Asking again does not help.
            _ if problem.code == Code::DamagedRecord.as_str() => {
                let gid = problem.gid.as_deref().unwrap_or("GID");
                Self::new(Exit::Refused, message)
                    .hint(format!("`trine tx history {}`, and docs/errors/TX0021.md", clean(gid)))
            }
            503 => Self::unreachable(message).hint("try again in a moment"),
            500.. => Self::unreachable(message).hint("look at the coordinator's log"),
            _ => Self::new(Exit::Refused, message),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, remedy: impl fmt::Display) -> Self {
        self.remedy = remedy.to_string();
        self
    }

    /// Whether nothing is printed about the failure.
    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// The kind of failure.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { writeln!(f, "  try: {}", self.remedy) }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_answer_of_the_coordinator_has_its_exit_code() {
        for (code, exit) in [
            (Code::IllegalState, Exit::Refused),
            (Code::InvalidParameter, Exit::Refused),
            (Code::TransactionNotFound, Exit::NotFound),
            (Code::ParticipantNotFound, Exit::NotFound),
            (Code::RouteNotFound, Exit::Refused),
            (Code::Busy, Exit::Unreachable),
            (Code::Internal, Exit::Unreachable),
            (Code::DamagedRecord, Exit::Refused),
        ] {
            assert_eq!(Failure::problem(&Problem::new(code, "x")).exit(), exit, "{code}");
        }
    }

    #[test]
    fn exit_codes_are_the_documented_numbers() {
        let codes =
            [Exit::Bad, Exit::Usage, Exit::Unreachable, Exit::Refused, Exit::NotFound, Exit::NameTaken];
        assert_eq!(codes.map(|exit| exit as u8), [1, 2, 3, 4, 5, 6]);
        assert_eq!(crate::output::report(&Failure::reader_gone()), std::process::ExitCode::SUCCESS);
    }

    #[test]
    fn a_refusal_names_code_title_detail_and_field() {
        let problem =
            Problem::new(Code::InvalidField, "must not be \u{1b}[31mempty").with_field("branches[1].action");
        expect![[r"
            error: A field of the body cannot be used (TX0002): must not be \u{1b}[31mempty [field: branches[1].action]
        "]]
        .assert_eq(&Failure::problem(&problem).to_string());
        expect![[r"
            error: nobody is there
              try: start it
        "]]
        .assert_eq(&Failure::unreachable("nobody is there").hint("start it").to_string());
    }
}
