//! Waiting for another process.

use std::thread;
use std::time::{Duration, Instant};

/// How often [`wait_for`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until there is a result, for at most `limit`. An inner error says what is still missing; it is the error
/// when the time is up. An outer error ends the wait at once.
pub(crate) fn wait_for<T>(
    limit: Duration,
    mut look: impl FnMut() -> Result<Result<T, String>, String>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match look()? {
            Ok(found) => return Ok(found),
            Err(missing) if begun.elapsed() > limit => {
                return Err(format!("{missing} after {limit:?}"));
            }
            // The other process sends no signal when it is ready.
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}
