//! Starts the servers a scenario needs: participants, the null coordinator, and Trine itself.

use super::Bench;
use crate::server::Server;

impl Bench {
    /// A participant that answers every call at once, but those to `/hang` never.
    pub(super) fn start_participant(&self) -> Result<Server, String> {
        self.start("the participant", "bench-participant", &[])
    }

    /// A coordinator that calls the participant twice and remembers nothing.
    pub(super) fn start_null(&self, participant: &Server) -> Result<Server, String> {
        self.start("the null coordinator", "bench-null", &["--participant", &participant.url])
    }

    /// Trine on the store that was asked for, or on a new SQLite database called `name`.
    pub(super) fn start_trine(&self, name: &str) -> Result<Server, String> {
        match &self.store {
            Some(store) => self.start_on(store),
            None => Server::start_trine(&self.trine, &self.scratch.path().join(name)),
        }
    }

    fn start_on(&self, store: &str) -> Result<Server, String> {
        let args = ["serve", "--store", store, "--http", "127.0.0.1:0", "--grpc", "off"];
        Server::start("trine", &self.trine, &args, self.scratch.path())
    }

    fn start(&self, name: &'static str, program: &str, args: &[&str]) -> Result<Server, String> {
        Server::start(name, &self.programs.join(program), args, self.scratch.path())
    }
}
