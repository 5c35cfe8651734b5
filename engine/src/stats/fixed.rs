//! Log evidence in fixed point: sums that are exact, order-free and mergeable, so that a replay is bit for bit.
//!
//! Knows nothing of what is summed. Rounding happens once, when a contribution is made, never while summing.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// An amount of log evidence in units of 2^-40 nat (9e-13).
///
/// Sums are exact and do not depend on their order while they stay below 2^22 (4.2 million) nats in absolute value.
/// A sum that reaches this bound stays there for good: a log likelihood ratio of that size is settled, and a
/// difference of two such sums is zero, which never crosses a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nats(i64);

impl Nats {
    /// No evidence.
    pub const ZERO: Nats = Nats(0);
    /// The largest sum, 2^22 nats.
    pub const CEILING: Nats = Nats(1 << 62);
    /// The smallest sum, -2^22 nats.
    pub const FLOOR: Nats = Nats(-(1 << 62));
    /// Units in one nat.
    const UNITS: f64 = 1_099_511_627_776.0;

    /// Rounds natural-log units to the nearest 2^-40. Infinities become the bounds; not-a-number becomes no evidence.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the cast saturates, and the bounds are narrower than i64
    pub fn from_f64(nats: f64) -> Nats {
        if nats.is_nan() {
            return Nats::ZERO;
        }
        Nats::from_units(libm::rint(nats * Nats::UNITS) as i64)
    }

    /// From stored units; values beyond the bounds become the bounds.
    #[must_use]
    pub fn from_units(units: i64) -> Nats {
        Nats(units.clamp(Nats::FLOOR.0, Nats::CEILING.0))
    }

    /// The stored units of 2^-40 nat.
    #[must_use]
    pub fn units(self) -> i64 {
        self.0
    }

    /// In nats.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Nats::UNITS
    }

    /// The sum; a sum at a bound stays there.
    #[must_use]
    pub fn plus(self, other: Nats) -> Nats {
        if self.is_settled() {
            return self;
        }
        if other.is_settled() {
            return other;
        }
        Nats::from_units(self.0.saturating_add(other.0))
    }

    /// `self - other` in nats; the difference itself is exact.
    #[must_use]
    pub fn above(self, other: Nats) -> f64 {
        self.0.saturating_sub(other.0) as f64 / Nats::UNITS
    }

    fn is_settled(self) -> bool {
        self == Nats::CEILING || self == Nats::FLOOR
    }
}

/// A vector of sums. Serialised as base64 of little-endian 64-bit integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsVec(Vec<Nats>);

/// A vector that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VectorError {
    /// Two vectors of different lengths.
    #[error(
        "evidence vectors have {found} points where the gate has {expected}; they belong to another policy, start a new attempt"
    )]
    Length {
        /// Points of the gate.
        expected: usize,
        /// Points of the vector.
        found: usize,
    },
    /// The same length, but not the same points.
    #[error("evidence of a gate with other points or another margin cannot be merged; start a new attempt")]
    OtherGate,
    /// Not base64.
    #[error("an evidence vector is not base64")]
    Base64(#[source] data_encoding::DecodeError),
    /// Not a whole number of integers.
    #[error("an evidence vector has {0} bytes, which is not a multiple of 8")]
    Truncated(usize),
}

impl NatsVec {
    /// So many zeros.
    #[must_use]
    pub fn zeros(points: usize) -> NatsVec {
        NatsVec(vec![Nats::ZERO; points])
    }

    /// The sums.
    #[must_use]
    pub fn as_slice(&self) -> &[Nats] {
        &self.0
    }

    /// How many sums.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum at a point; no evidence at a point that is not there.
    #[must_use]
    pub fn at(&self, point: usize) -> Nats {
        self.0.get(point).copied().unwrap_or_default()
    }

    /// Adds a vector of the same length, point by point. Nothing changes on an error.
    pub fn add(&mut self, other: &NatsVec) -> Result<(), VectorError> {
        self.must_have(other.len())?;
        for (sum, part) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.plus(*part);
        }
        Ok(())
    }

    /// Refuses another length.
    pub fn must_have(&self, points: usize) -> Result<(), VectorError> {
        if self.len() == points {
            return Ok(());
        }
        Err(VectorError::Length { expected: points, found: self.len() })
    }

    /// Base64 of the little-endian units.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|sum| sum.units().to_le_bytes()).collect();
        BASE64.encode(&bytes)
    }

    /// The opposite of `to_base64`.
    pub fn from_base64(text: &str) -> Result<NatsVec, VectorError> {
        let bytes = BASE64.decode(text.as_bytes()).map_err(VectorError::Base64)?;
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(VectorError::Truncated(bytes.len()));
        }
        Ok(words.iter().map(|word| Nats::from_units(i64::from_le_bytes(*word))).collect())
    }
}

impl FromIterator<Nats> for NatsVec {
    fn from_iter<I: IntoIterator<Item = Nats>>(sums: I) -> NatsVec {
        NatsVec(sums.into_iter().collect())
    }
}

impl Serialize for NatsVec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for NatsVec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NatsVec, D::Error> {
        let text = String::deserialize(deserializer)?;
        NatsVec::from_base64(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_its_text_form() {
        let vector: NatsVec = [-3.5, 0.0, 1e-12, 4e6, -4e6].into_iter().map(Nats::from_f64).collect();
        let text = serde_json::to_string(&vector).unwrap();
        assert_eq!(serde_json::from_str::<NatsVec>(&text).unwrap(), vector);
    }

    #[test]
    fn forty_four_points_take_472_characters() {
        assert_eq!(NatsVec::zeros(44).to_base64().len(), 472);
    }

    #[test]
    fn a_text_that_is_no_vector_is_refused() {
        assert!(matches!(NatsVec::from_base64("!"), Err(VectorError::Base64(_))));
        assert_eq!(NatsVec::from_base64("AAAA"), Err(VectorError::Truncated(3)));
    }

    #[test]
    fn vectors_of_different_lengths_do_not_add() {
        let mut three = NatsVec::zeros(3);
        assert_eq!(three.add(&NatsVec::zeros(2)), Err(VectorError::Length { expected: 2, found: 3 }));
    }

    #[test]
    fn a_sum_at_its_bound_stays_there() {
        let full = Nats::from_f64(1e9);
        assert_eq!(full, Nats::CEILING);
        assert_eq!(full.plus(Nats::from_f64(-5.0)), Nats::CEILING);
        assert_eq!(Nats::from_f64(f64::NEG_INFINITY).plus(Nats::from_f64(5.0)), Nats::FLOOR);
        assert_eq!(Nats::from_f64(3e6).plus(Nats::from_f64(3e6)), Nats::CEILING);
        assert!(Nats::CEILING.above(Nats::FLOOR).is_finite());
        assert_eq!(Nats::from_f64(f64::NAN), Nats::ZERO);
    }
}
