//! What the load saw: how many answers, how late, and what went wrong.

/// Buckets for each doubling of the latency; a bucket is at most 1/32 wide.
const STEPS: u64 = 32;

/// Counts since the last [`Tally::reset`].
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    /// Bytes of bodies that went through, also of requests that are not finished.
    pub bytes: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// How often a connection that should have stayed was closed between two requests.
    pub closed: u64,
    latencies: Vec<u32>,
}

impl Tally {
    /// Forgets what was counted, but not what went wrong.
    pub fn reset(&mut self) {
        self.requests = 0;
        self.bytes = 0;
        self.closed = 0;
        self.latencies.fill(0);
    }

    pub fn answered(&mut self, nanos: u64) {
        self.requests += 1;
        let bucket = bucket(nanos);
        if bucket >= self.latencies.len() {
            self.latencies.resize(bucket + 1, 0);
        }
        self.latencies[bucket] += 1;
    }

    pub fn failed(&mut self, why: impl FnOnce() -> String) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(why());
        }
    }

    /// Milliseconds within which this share of the requests was answered; 0 without any.
    pub fn within(&self, share: f64) -> f64 {
        let wanted = (self.requests as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, &count) in self.latencies.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted && count > 0 {
                return middle(bucket) / 1e6;
            }
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = u64::from(nanos.ilog2() - STEPS.ilog2());
    ((doubling + 1) * STEPS + ((nanos >> doubling) - STEPS)) as usize
}

fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket as f64;
    }
    let (doubling, step) = (bucket / STEPS - 1, bucket % STEPS);
    ((STEPS + step) << doubling) as f64 + (1_u64 << doubling) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_near_its_middle() {
        let mut last = 0;
        for nanos in (0..200_000).chain([5_000_000, 123_456_789, 60_000_000_000]) {
            let bucket = bucket(nanos);
            assert!(bucket >= last);
            last = bucket;
            assert!((middle(bucket) - nanos as f64).abs() <= 1.0 + nanos as f64 / 32.0);
        }
    }

    #[test]
    fn shares_of_a_hundred() {
        let mut tally = Tally::default();
        (1..=100).for_each(|millis| tally.answered(millis * 1_000_000));
        assert!((tally.within(0.5) - 50.0).abs() < 2.0);
        assert!((tally.within(0.99) - 99.0).abs() < 3.5);
        tally.reset();
        assert_eq!(tally.within(0.5), 0.0);
    }
}
