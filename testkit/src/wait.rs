//! Waiting for a condition, with an end.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Asks again and again until the answer is yes. `false` when it was still no after `limit`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a duration is measured")]
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        // The condition is about another process, which sends no signal when the condition becomes true.
        std::thread::sleep(PAUSE);
    }
}
