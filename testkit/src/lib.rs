//! Throwaway servers for tests: PostgreSQL, MariaDB, Redis, nginx and pgbouncer in temporary folders on free ports, small clusters
//! of them, and a proxy that misbehaves on demand. Knows nothing of Trine.
//!
//! Everything here is synchronous, and panics where it fails: a test can do nothing about a server that does not start.
//! A call may take seconds, so an asynchronous test that has something else to do meanwhile makes it with
//! `spawn_blocking`.
//!
//! A server is killed and its folder removed when its handle is dropped, and also when the process ends, in whatever way.
//! The servers are found by their programs; `cargo xtask setup` installs them.

mod keeper;
pub mod mariadb;
pub mod nginx;
mod owner;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
mod server;
mod template;
pub mod wait;
