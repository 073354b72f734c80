//! `trine dev`: coordinator, order and inventory services in one process, a guided tour through them, and a way to
//! break it. Only here the coordinator uses the participants crate, and only over HTTP: the services have databases of their
//! own, register over HTTP and are called over HTTP.

mod check;
mod left_over;
mod orders;
mod scene;
mod tour;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::args::Dev;
use super::failure::{Exit, Failure};
use super::output;
use super::serve::Signals;
use scene::Scene;

const DIR_DEFAULT: &str = "trine-data/dev";
pub(crate) const HTTP_PORT: u16 = 36789;

/// Starts everything, runs the tour, and either exits with its result or serves until Ctrl-C.
pub(crate) async fn run(args: Dev) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let folder = Folder::of(&args)?;
    // With --exit nobody pastes anything, and who asks for any port means it: several can run at once.
    let any = args.exit || args.http.is_some_and(|http| http.port() == 0);
    let http = args.http.unwrap_or_else(|| local(HTTP_PORT, any));
    let scene = Scene::set(&folder.path, http, any, args.exit, args.dir.as_deref()).await?;
    let stop = signals.stop(scene.hurry());
    tokio::pin!(stop);
    let toured = tokio::select! {
        toured = tour::run(&scene) => toured,
        _ = &mut stop => {
            output::line("\nstopped before the end of the tour")?;
            scene.strike().await;
            return Ok(());
        }
    };
    if args.exit {
        scene.strike().await;
        // Zero means that the check passed, not that nobody wanted to know.
        return toured.map_err(|failure| match failure.exit() {
            Exit::ReaderGone => Failure::said(),
            _ => failure,
        });
    }
    // A check that failed is no reason to take away what is needed to look into it.
    if let Err(failure) = &toured {
        output::print(&format!("\n{failure}"))?;
    }
    tour::how_to_break_it(&scene)?;
    stop.await;
    output::line("\nstopping; Ctrl-C again does not wait for calls under way")?;
    scene.strike().await;
    toured
}

/// An address of this machine with the port that the README names, unless another program has that port or any will do.
fn local(port: u16, any: bool) -> SocketAddr {
    // Another program may take it in between: then starting says so.
    let is_free = !any && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    SocketAddr::from((Ipv4Addr::LOCALHOST, if is_free { port } else { 0 }))
}

/// Where the databases are, and whether they are wanted afterwards.
struct Folder {
    path: PathBuf,
    fleeting: bool,
}

impl Folder {
    fn of(args: &Dev) -> Result<Self, Failure> {
        let (path, fleeting) = match &args.dir {
            Some(dir) => (dir.clone(), false),
            None if args.exit => {
                let name = format!("trine-dev-{}-{:08x}", std::process::id(), fastrand::u32(..));
                (std::env::temp_dir().join(name), true)
            }
            None => (Path::new(DIR_DEFAULT).to_owned(), false),
        };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::bad(format!("cannot create {}: {error}", path.display()))
                .hint("another folder with --dir")
        })?;
        Ok(Self { path, fleeting })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.fleeting {
            // What cannot be deleted is in the system's folder for temporary things.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_left_to_its_owner() {
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(local(port, false).port(), 0);
        drop(taken);
        assert_eq!(local(port, true).port(), 0);
    }
}
