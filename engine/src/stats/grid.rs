//! The log odds ratios at which a gate keeps sums: frozen before the attempt, a function of the gate alone.
//!
//! The support of each test is its base plus fixed offsets, so that the priors' own points are on the grid. Holds no
//! evidence.

/// Offsets of the rollback prior in log odds ratios above its base, and their weights.
pub const ROLLBACK_PRIOR: [(f64, f64); 8] =
    [(0.15, 0.05), (0.3, 0.15), (0.45, 0.20), (0.65, 0.20), (0.9, 0.15), (1.3, 0.10), (1.9, 0.08), (2.8, 0.07)];

/// Points of the promotion prior as multiples of the margin's log odds ratio, and their weights.
pub const PROMOTION_PRIOR: [(f64, f64); 5] = [(0.5, 0.1), (0.25, 0.2), (0.0, 0.4), (-0.5, 0.2), (-1.0, 0.1)];

/// Step between display points, in log odds ratios.
pub const DISPLAY_STEP: f64 = 0.15;

/// Display points run from `-DISPLAY_REACH` to `DISPLAY_REACH` steps: odds ratios from 1/20 to 20.
pub const DISPLAY_REACH: i16 = 20;

/// The rollback prior in display steps, used on both sides by the confidence sequence.
const DISPLAY_PRIOR: [(usize, f64); 8] =
    [(1, 0.05), (2, 0.15), (3, 0.20), (4, 0.20), (6, 0.15), (9, 0.10), (13, 0.08), (19, 0.07)];

/// A one-sided test: the boundary of its null, and the alternatives that it bets on, as positions in the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Position of the boundary.
    pub base: usize,
    /// Positions of the alternatives, with the logarithms of their weights.
    pub support: Vec<(usize, f64)>,
}

/// The points of a gate, and the tests on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    points: Vec<f64>,
    rollback: Mixture,
    promotion: Option<Mixture>,
    display: Vec<usize>,
}

impl Grid {
    /// For a rollback null `OR <= e^tolerance` and, where promotion takes the odds-ratio form, a promotion null
    /// `OR >= e^margin`. Both in log odds ratios; a margin that is not positive makes a promotion impossible.
    #[must_use]
    pub fn new(tolerance: f64, margin: Option<f64>) -> Grid {
        let mut points = Vec::new();
        let rollback = Mixture {
            base: position(&mut points, tolerance),
            support: mixture(&mut points, &ROLLBACK_PRIOR.map(|(offset, weight)| (tolerance + offset, weight))),
        };
        let promotion = margin.filter(|margin| *margin > 0.0).map(|margin| Mixture {
            base: position(&mut points, margin),
            support: mixture(&mut points, &PROMOTION_PRIOR.map(|(share, weight)| (share * margin, weight))),
        });
        let display = (-DISPLAY_REACH..=DISPLAY_REACH)
            .map(|step| position(&mut points, f64::from(step) * DISPLAY_STEP))
            .collect();
        Grid { points, rollback, promotion, display }
    }

    /// The log odds ratios.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// The rollback test.
    #[must_use]
    pub fn rollback(&self) -> &Mixture {
        &self.rollback
    }

    /// The promotion test, where the gate has one in this form.
    #[must_use]
    pub fn promotion(&self) -> Option<&Mixture> {
        self.promotion.as_ref()
    }

    /// Positions of the display points, ascending.
    #[must_use]
    pub fn display(&self) -> &[usize] {
        &self.display
    }

    /// The one-sided test against display point number `at`, whose alternatives lie above it or below it. Alternatives
    /// beyond the ends are left out and the weights of the others grow; none are left at the ends themselves.
    #[must_use]
    pub fn display_test(&self, at: usize, above: bool) -> Option<Mixture> {
        let base = *self.display.get(at)?;
        let inside: Vec<(usize, f64)> = DISPLAY_PRIOR
            .iter()
            .filter_map(|(steps, weight)| {
                let at = if above { at.checked_add(*steps) } else { at.checked_sub(*steps) }?;
                self.display.get(at).map(|position| (*position, *weight))
            })
            .collect();
        let total: f64 = inside.iter().map(|(_, weight)| weight).sum();
        let support: Vec<_> =
            inside.into_iter().map(|(position, weight)| (position, libm::log(weight / total))).collect();
        (!support.is_empty()).then_some(Mixture { base, support })
    }
}

/// The position of a point, added if it is not there. Points that print alike are one.
fn position(points: &mut Vec<f64>, point: f64) -> usize {
    if let Some(at) = points.iter().position(|known| (known - point).abs() < 1e-12) {
        return at;
    }
    points.push(point);
    points.len() - 1
}

fn mixture(points: &mut Vec<f64>, prior: &[(f64, f64)]) -> Vec<(usize, f64)> {
    prior.iter().map(|(point, weight)| (position(points, *point), libm::log(*weight))).collect()
}
