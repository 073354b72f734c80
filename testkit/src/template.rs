//! Freshly initialised data directories, made once and copied for every server.
//!
//! They are kept in the target directory, one per version of the server and user. Without a target directory (a test
//! binary that was moved) there is nothing to keep them in, and every server initialises its own.

use std::path::{Path, PathBuf};

use crate::owner::Owner;
use crate::process;

/// Fills the empty `directory`: from the copy that is kept under `name`, or by `initialise`, whose result is then kept.
pub(crate) fn fill(directory: &Path, name: &str, owner: Owner, initialise: impl FnOnce()) {
    let Some(cache) = cache() else {
        initialise();
        return;
    };
    let name = format!("{name}-{}", owner.other().map_or_else(process::user_id, str::to_owned));
    let kept = cache.join(&name);
    if kept.is_dir() {
        process::copy(&kept, directory);
        return;
    }
    initialise();
    // Build under a unique name, then rename: others must see a whole copy or none. If another process was faster, this copy
    // is deleted.
    let own = cache.join(format!("{name}.{}.{}", std::process::id(), unique()));
    if std::fs::create_dir_all(&own).is_err() {
        // The target directory belongs to another user, so nothing can be kept.
        return;
    }
    process::copy(directory, &own);
    if std::fs::rename(&own, &kept).is_err() {
        // Leftovers are in the target directory, where they do no harm.
        let _ = std::fs::remove_dir_all(&own);
    }
}

/// `testkit` in the target directory.
fn cache() -> Option<PathBuf> {
    Some(target_directory()?.join("testkit"))
}

/// The target directory this test was built into.
pub(crate) fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let target = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file())?;
    Some(target.to_owned())
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
