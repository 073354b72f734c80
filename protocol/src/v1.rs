//! The documents of the native API, `/v1`. Only their fields are here; the coordinator checks and carries them out.

mod base64;
mod create;
mod history;
mod operations;
mod strict;
mod view;
mod workflow;

pub use base64::Base64;
pub use create::{
    Branch, BranchOptions, CreateTransaction, Exposure, OnExhausted, Options, Order, RegisterBranch, Retry,
};
pub use history::{History, HistoryEvent, UnreadableRecord};
pub use operations::{
    Abort, Coordinator, CoordinatorList, Force, ForceOutcome, Participant, ParticipantInstance,
    ParticipantList, RegisterParticipant, Registered, Replay, ReplayMany, ReplayManyAnswer, Replayed,
};
pub use strict::Object;
pub use view::{
    Answer, BranchView, CauseView, NextCall, OpState, OpView, Page, TransactionSummary, TransactionView,
    WaitingOn,
};
pub use workflow::{
    FinishWorkflow, StartWorkflow, StepOutcome, WorkflowCallback, WorkflowOutcome, WorkflowStep, WorkflowView,
};
