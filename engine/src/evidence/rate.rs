//! Sessions per second over the last minutes, from few counters.

use std::collections::VecDeque;

const BUCKET_MILLIS: i64 = 10_000;
const BUCKETS: i64 = 30;
/// With less than this behind it, a rate would be a guess.
const LEAST_MILLIS: i64 = 10_000;

/// Counts arrivals in buckets of ten seconds, five minutes back.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    since: Option<i64>,
    buckets: VecDeque<(i64, i64)>,
}

impl Arrivals {
    /// Counts one arrival.
    pub fn count(&mut self, now: i64) {
        self.since.get_or_insert(now);
        let bucket = now.div_euclid(BUCKET_MILLIS);
        match self.buckets.back_mut() {
            Some((last, count)) if *last >= bucket => *count += 1,
            Some(_) | None => self.buckets.push_back((bucket, 1)),
        }
        while self.buckets.front().is_some_and(|(first, _)| *first <= bucket - BUCKETS) {
            self.buckets.pop_front();
        }
    }

    /// Arrivals per second; absent while nothing is known, 0 after five silent minutes.
    #[must_use]
    pub fn per_second(&self, now: i64) -> Option<f64> {
        let since = self.since?;
        let oldest = now.div_euclid(BUCKET_MILLIS) - BUCKETS + 1;
        let span = (now - since.max(oldest * BUCKET_MILLIS)).max(0);
        if span < LEAST_MILLIS {
            return None;
        }
        let count: i64 = self.buckets.iter().filter(|(bucket, _)| *bucket >= oldest).map(|(_, count)| count).sum();
        Some(count as f64 * 1_000.0 / span as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_ends_it() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.per_second(0), None);
        (0..1_200).for_each(|tick| arrivals.count(tick * 500));
        let rate = arrivals.per_second(600_000).unwrap();
        assert!((rate - 2.0).abs() < 0.05, "{rate}");
        assert_eq!(arrivals.per_second(10_000_000), Some(0.0));
        assert!(arrivals.buckets.len() <= 30);
    }

    #[test]
    fn two_sessions_in_a_moment_are_no_rate() {
        let mut arrivals = Arrivals::default();
        arrivals.count(5);
        arrivals.count(6);
        assert_eq!(arrivals.per_second(100), None);
    }
}
