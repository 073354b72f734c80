//! Errors of the configuration. Each message names the place and the remedy.

use std::fmt;

use super::origin::Origin;

/// All problems of a configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{file}: {detail}")]
    File {
        /// Its name as given.
        file: String,
        /// The error of the operating system.
        detail: String,
    },
    /// The file is not TOML. The line itself is not shown: it may hold a password.
    #[error("{at}: not TOML: {detail}")]
    Syntax {
        /// Where.
        at: Origin,
        /// What was expected.
        detail: String,
    },
    /// An unknown key, section or variable.
    #[error("{at}: unknown {what} `{key}`; did you mean `{nearest}`?")]
    Unknown {
        /// Where it stands.
        at: Origin,
        /// Key, section or variable.
        what: &'static str,
        /// The unknown name.
        key: String,
        /// The most similar name that exists.
        nearest: String,
    },
    /// A value that cannot be used.
    #[error("{at}: `{key}` {detail}")]
    Value {
        /// Where it stands.
        at: Origin,
        /// The key.
        key: String,
        /// The reason, as the end of a sentence.
        detail: String,
    },
    /// A row of the table of keys does not fit its field: a defect.
    #[error("the table of configuration keys is wrong: {detail}")]
    Defect {
        /// Details.
        detail: String,
    },
}

impl ConfigError {
    /// The problems; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Succeeds if there are no problems.
    pub(super) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
