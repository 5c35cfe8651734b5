//! Simulated sessions for tests: a small seeded generator and strata drawn with it.

use std::collections::HashMap;

use crate::stats::{Grid, NatsVec, OddsProcess, Stratum};

/// `SplitMix64` (Steele, Lea, Flood 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, rate: f64) -> bool {
        self.unit() < rate
    }

    /// A stratum of `size` sessions: each on the canary with chance `weight`, bad with its arm's rate.
    pub fn stratum(&mut self, size: u64, weight: f64, canary_rate: f64, stable_rate: f64) -> Stratum {
        let (mut canary, mut canary_bad, mut stable_bad) = (0, 0, 0);
        for _ in 0..size {
            if self.chance(weight) {
                canary += 1;
                canary_bad += u64::from(self.chance(canary_rate));
            } else {
                stable_bad += u64::from(self.chance(stable_rate));
            }
        }
        Stratum::new(canary, canary_bad, size - canary, stable_bad).unwrap()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap();
            items.swap(at, other);
        }
    }
}

/// Contributions by table: the same few tables come again and again, and a debug build is slow.
pub struct Memo {
    grid: Grid,
    known: HashMap<Stratum, NatsVec>,
}

impl Memo {
    pub fn new(grid: Grid) -> Memo {
        Memo { grid, known: HashMap::new() }
    }

    pub fn process(&self) -> OddsProcess {
        OddsProcess::new(self.grid.clone())
    }

    pub fn add(&mut self, process: &mut OddsProcess, stratum: &Stratum) {
        let grid = &self.grid;
        let part = self.known.entry(*stratum).or_insert_with(|| OddsProcess::contribution(grid, stratum));
        process.add_contribution(part).unwrap();
    }
}

/// A share, and three standard errors of it if the truth is `rate`.
pub fn three_errors(rate: f64, runs: u64) -> f64 {
    3.0 * (rate * (1.0 - rate) / runs as f64).sqrt()
}

pub fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
