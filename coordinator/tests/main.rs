//! The product from outside: real processes, real HTTP, real databases. One target, one module per subject.

mod cluster;
mod crash;
mod lifecycle;
mod support;
