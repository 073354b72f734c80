//! The product from outside: real processes, real HTTP, real databases. One target, one module per subject.

mod clock;
mod cluster;
mod conflict;
mod crash;
mod deploy;
mod dialect;
mod examples;
mod grpc;
mod interop;
mod lifecycle;
mod logs;
mod operators;
mod stopping;
mod support;
mod workflow;
mod xa;
