//! Failures that last: told when they begin and at most once a minute from then on. When they are over is for the caller to tell. A disk that is full
//! for a night must not fill it with lines about itself. It knows nothing of what fails.

use std::time::{Duration, Instant};

/// A failure that lasts is told this often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Something that fails now and then.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    began: Option<Instant>,
    told: Option<Instant>,
}

impl Lasting {
    /// It has failed at `now`: whether that is to be told. What has just been told and comes back at once is not, either.
    pub(super) fn fails(&mut self, now: Instant) -> bool {
        self.began.get_or_insert(now);
        let is_told = self.told.is_none_or(|told| now.duration_since(told) >= TELL_AGAIN);
        if is_told {
            self.told = Some(now);
        }
        is_told
    }

    /// It works at `now`: how long it did not, where that was told.
    pub(super) fn works(&mut self, now: Instant) -> Option<Duration> {
        let began = self.began.take()?;
        self.told.is_some_and(|told| told >= began).then(|| now.duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_once_a_minute_and_when_it_is_over() {
        let (mut failure, start) = (Lasting::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let told: Vec<u64> = (0..150).filter(|second| failure.fails(at(*second))).collect();
        assert_eq!(told, [0, 60, 120]);
        assert_eq!(failure.works(at(150)), Some(Duration::from_secs(150)));
        assert_eq!(failure.works(at(151)), None);
        assert!(!failure.fails(at(152)), "it comes back at once");
        assert_eq!(failure.works(at(153)), None);
        assert!(failure.fails(at(300)));
    }
}
