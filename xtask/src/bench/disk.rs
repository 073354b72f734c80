//! Measures how long the disk takes for a small durable write. A commit cannot be faster.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use super::{Bench, median};

const WRITES: u32 = 100;
/// One page: the least that a commit writes.
const BYTES: usize = 4096;

/// Median milliseconds of an append and its `fdatasync`.
pub(super) fn durable_write_ms(bench: &Bench) -> Result<f64, String> {
    let path = bench.scratch.path().join("durable-writes");
    let mut took = Vec::new();
    let mut write_all = || {
        let mut file = File::create(&path)?;
        for _ in 0..WRITES {
            let started = Instant::now();
            file.write_all(&[1; BYTES])?;
            file.sync_data()?;
            took.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        Ok::<_, std::io::Error>(())
    };
    write_all().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(median(took))
}
