//! Seats for connections above the limit. Such a connection may only ask about health.
//!
//! A client that takes a seat and sends no request must not keep a health check out. When all seats are taken, the seat that has
//! waited longest without a request is given away.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub(super) struct Reserve {
    taken: Arc<Mutex<VecDeque<Arc<Taken>>>>,
    seats: usize,
}

#[derive(Debug, Default)]
struct Taken {
    has_asked: AtomicBool,
    given_away: CancellationToken,
}

/// A seat, held until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    reserve: Reserve,
    taken: Arc<Taken>,
}

impl Reserve {
    pub(super) fn new(seats: usize) -> Self {
        Self { taken: Arc::default(), seats: seats.max(1) }
    }

    /// Takes a seat. None if every seat has a request under way.
    pub(super) fn sit_down(&self) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.seats {
            let idle = taken.iter().position(|one| !one.has_asked.load(Ordering::Relaxed))?;
            if let Some(idle) = taken.remove(idle) {
                idle.given_away.cancel();
            }
        }
        let seat = Arc::new(Taken::default());
        taken.push_back(Arc::clone(&seat));
        Some(Seat { reserve: self.clone(), taken: seat })
    }
}

impl Seat {
    /// A request has arrived: the seat cannot be given away until the answer is sent.
    pub(super) fn asks(&self) {
        self.taken.has_asked.store(true, Ordering::Relaxed);
    }

    /// Resolves when the seat was given to another connection.
    pub(super) async fn given_away(&self) {
        self.taken.given_away.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.reserve.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|one| !Arc::ptr_eq(one, &self.taken));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_seat_without_a_request_is_given_away_and_one_with_a_request_is_not() {
        let reserve = Reserve::new(2);
        let (asked, idle) = (reserve.sit_down().unwrap(), reserve.sit_down().unwrap());
        asked.asks();
        let third = reserve.sit_down().unwrap();
        assert!(idle.given_away().now_or_never().is_some() && asked.given_away().now_or_never().is_none());
        drop(idle);
        third.asks();
        assert!(reserve.sit_down().is_none(), "two health checks under way were not enough");
        drop(asked);
        assert!(reserve.sit_down().is_some());
    }
}
