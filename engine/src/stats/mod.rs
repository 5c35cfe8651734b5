//! The mathematics of the gates.
