//! Does the gateway share sessions as it was told? Counts starts per weight, never outcomes.

use crate::stats::Nats;
use crate::stats::srm::{Starts, log_e};

/// The evidence that the weights are fictional.
#[derive(Clone, Debug, Default)]
pub struct SampleRatio {
    before: Nats,
    periods: Vec<Starts>,
}

impl SampleRatio {
    /// Goes on after a restart: what was known then is multiplied by what comes now.
    #[must_use]
    pub fn resume(units: i64) -> Self {
        Self { before: Nats::from_units(units), periods: Vec::new() }
    }

    /// Counts the starts of a closed stratum. The weight is in percent.
    pub fn add(&mut self, weight: i64, canary: i64, stable: i64) {
        let weight = weight as f64 / 100.0;
        let (canary, stable) = (u64::try_from(canary).unwrap_or(0), u64::try_from(stable).unwrap_or(0));
        match self.periods.iter_mut().find(|known| (known.weight - weight).abs() < 1e-9) {
            Some(known) => {
                known.canary += canary;
                known.stable += stable;
            }
            None => self.periods.push(Starts { weight, canary, stable }),
        }
    }

    /// Natural logarithm of the e-value, in units of 2^-40.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.before.plus(Nats::from_f64(log_e(&self.periods))).units()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_weights_raise_no_alarm_and_a_lossy_canary_does() {
        let (mut honest, mut lossy) = (SampleRatio::default(), SampleRatio::default());
        for _ in 0..100 {
            honest.add(5, 5, 95);
            honest.add(25, 25, 75);
            lossy.add(5, 2, 98);
        }
        assert!(honest.units() < 0);
        assert!(Nats::from_units(lossy.units()).as_f64() > libm::log(1_000.0));
        let resumed = SampleRatio::resume(lossy.units());
        assert_eq!(resumed.units(), lossy.units());
    }
}
