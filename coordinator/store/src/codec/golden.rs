//! Golden files: one per event variant and sub-variant, in `tests/golden/journal/v1`. They are never edited. A new
//! sample gets a file of its own: run the test with `TRINE_GOLDEN=add` once and commit what it writes.

mod samples;

use std::path::PathBuf;

use trine_engine::{Event, Exposure, ForceTo, Outcome, ParkCause, RollbackCause};
use trine_protocol::Pattern;

use super::{decode, encode};
pub(super) use samples::samples;

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal/v1");
    folder.join(format!("{name}.json"))
}

#[test]
fn every_sample_is_encoded_as_its_golden_file_and_decoded_from_it() {
    for (name, event) in samples() {
        let (path, text) = (path(&name), encode(&event));
        if !path.exists() && std::env::var("TRINE_GOLDEN").is_ok_and(|mode| mode == "add") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; it should contain {text}", path.display()));
        assert_eq!(golden.trim_end_matches('\n'), text, "{name}: the encoding of old events must not change");
        assert_eq!(decode(golden.trim_end_matches('\n')), Ok(event), "{name}");
    }
}

#[test]
fn every_golden_file_belongs_to_a_sample() {
    let names: Vec<PathBuf> = samples().iter().map(|(name, _)| path(name)).collect();
    for entry in std::fs::read_dir(path("x").parent().unwrap()).unwrap() {
        let found = entry.unwrap().path();
        assert!(names.contains(&found), "{} pins nothing: its sample is gone", found.display());
    }
}

/// Makes the list of what must have a sample from the arms of a match without `_`: a new variant does not compile until
/// it is named here, and then fails the test below until it has a sample.
macro_rules! kinds {
    ($($pattern:pat $(if $guard:expr)? => $name:literal,)+) => {
        const KINDS: &[&str] = &[$($name),+];

        fn kind(event: &Event) -> &'static str {
            match event {
                $($pattern $(if $guard)? => $name,)+
            }
        }
    };
}

kinds! {
    Event::Created { check_at: Some(_), .. } => "created with a time to check at",
    Event::Created { spec, .. } if spec.exposure == Exposure::Ahead => "created, exposed ahead",
    Event::Created { .. } => "created",
    Event::BranchRegistered { .. } => "branch registered",
    Event::Started => "started",
    Event::Submitted { start_at: None } => "submitted",
    Event::Submitted { start_at: Some(_) } => "submitted, to start later",
    Event::Resumed { .. } => "resumed",
    Event::Progressed { .. } => "progressed",
    Event::Finished { committed: true, .. } => "finished",
    Event::Finished { committed: false, .. } => "finished, rolled back",
    Event::CommitDecided => "commit decided",
    Event::RollbackBegun { owed: Some(_), .. } => "rollback that knows which branches were owed",
    Event::RollbackBegun { cause: RollbackCause::Refused { .. }, .. } => "rollback: refused",
    Event::RollbackBegun { cause: RollbackCause::Deadline { branch: None, .. }, .. } => "rollback: deadline",
    Event::RollbackBegun { cause: RollbackCause::Deadline { branch: Some(_), .. }, .. } => "rollback: deadline, waiting for a branch",
    Event::RollbackBegun { cause: RollbackCause::Aborted { reason: None }, .. } => "rollback: aborted",
    Event::RollbackBegun { cause: RollbackCause::Aborted { reason: Some(_) }, .. } => "rollback: aborted, and why",
    Event::RollbackBegun { cause: RollbackCause::Exhausted { reason: None, .. }, .. } => "rollback: exhausted",
    Event::RollbackBegun { cause: RollbackCause::Exhausted { reason: Some(_), .. }, .. } => "rollback: exhausted, and why",
    Event::RollbackBegun { cause: RollbackCause::CheckRefused { .. }, .. } => "rollback: check refused",
    Event::CallAnswered { outcome: Outcome::Done { read_only: true, .. }, .. } => "done, read-only",
    Event::CallAnswered { outcome: Outcome::Done { read_only: false, .. }, .. } => "done",
    Event::CallAnswered { outcome: Outcome::Refused { .. }, .. } => "refused",
    Event::CallAnswered { outcome: Outcome::Ongoing { retry_after_ms: None }, .. } => "ongoing",
    Event::CallAnswered { outcome: Outcome::Ongoing { retry_after_ms: Some(_) }, .. } => "ongoing for a while",
    Event::CallAnswered { outcome: Outcome::Unknown, .. } => "unknown",
    Event::CallAnswered { outcome: Outcome::ClientError, .. } => "unknown, a client error",
    Event::OpParked { cause: ParkCause::Exhausted, .. } => "op parked",
    Event::OpParked { cause: ParkCause::ClientError, .. } => "op parked, a client error",
    Event::OpParked { cause: ParkCause::Conflict, .. } => "op parked: conflict",
    Event::OpParked { cause: ParkCause::NotSent, .. } => "op parked, not sent",
    Event::NotSent { branch: None, .. } => "check not sent",
    Event::NotSent { branch: Some(_), .. } => "not sent",
    Event::Replayed { branch: None, .. } => "replayed",
    Event::Replayed { branch: Some(_), .. } => "replayed, one branch",
    Event::Quarantined { .. } => "quarantined",
    Event::TakenOver => "taken over",
    Event::Forced { to: ForceTo::Committed, .. } => "forced to committed",
    Event::Forced { to: ForceTo::RolledBack, .. } => "forced to rolled back",
    Event::Committed => "committed",
    Event::RolledBack => "rolled back",
}

#[test]
fn every_variant_has_a_sample() {
    let samples = samples();
    for wanted in KINDS {
        assert!(samples.iter().any(|(_, event)| kind(event) == *wanted), "no sample is {wanted:?}");
    }
    for pattern in Pattern::ALL {
        let created = |event: &Event| matches!(event, Event::Created { spec, .. } if spec.pattern == pattern);
        assert!(samples.iter().any(|(_, event)| created(event)), "no sample creates a {pattern}");
    }
}
