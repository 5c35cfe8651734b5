//! Tests that must not share the cluster with others: they measure, or they end the operator.

mod containment;
mod quiet;
mod restart;
