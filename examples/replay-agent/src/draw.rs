//! Chance without a generator: every draw is a hash of what it is for, so that a session replays the same anywhere.
//! Holds no state and reads no clock.

use sha2::{Digest, Sha256};

/// A uniform 64-bit number for `purpose`, fixed by the seed, the conversation and the turn.
pub fn draw(seed: u64, conversation: &str, turn: u32, purpose: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(turn.to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(conversation.as_bytes());
    hash.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A position below `len`; `None` for an empty list. The bias is below `len / 2^64`.
pub fn pick(number: u64, len: usize) -> Option<usize> {
    let len = u64::try_from(len).ok().filter(|len| *len > 0)?;
    usize::try_from(number % len).ok()
}

/// Whether an event of probability `rate` (0..=1) happens on this draw. Never at 0, always at 1.
pub fn happens(number: u64, rate: f64) -> bool {
    ((number >> 11) as f64) < rate * (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_met_over_many_conversations() {
        let hits = (0..20_000).filter(|n| happens(draw(7, &format!("c{n}"), 1, "x"), 0.3)).count();
        assert!((5_800..6_200).contains(&hits), "{hits} of 20000 at rate 0.3");
    }

    #[test]
    fn zero_never_happens_and_one_always_does() {
        assert!(!happens(0, 0.0) && !happens(u64::MAX, 0.0));
        assert!(happens(0, 1.0) && happens(u64::MAX, 1.0));
    }

    #[test]
    fn seed_conversation_turn_and_purpose_all_matter() {
        let base = draw(1, "a", 1, "x");
        assert_eq!(base, draw(1, "a", 1, "x"));
        for other in [draw(2, "a", 1, "x"), draw(1, "b", 1, "x"), draw(1, "a", 2, "x"), draw(1, "a", 1, "y")] {
            assert_ne!(base, other);
        }
    }
}
