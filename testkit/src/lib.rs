//! Throwaway servers for tests: PostgreSQL, MariaDB, Redis, nginx and pgbouncer in temporary folders on free ports, small clusters
//! of them, and a proxy that misbehaves on demand. Knows nothing of Trine.
//!
//! Everything here is synchronous and panics on failure, because a test cannot go on without its server. A call may take
//! seconds: an asynchronous test that must do other work meanwhile uses `spawn_blocking`.
//!
//! A server is killed and its folder is removed when its handle is dropped, and also when the process ends in any way.
//! `cargo xtask setup` installs the servers' programs.

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
