//! Tests of the mathematics as a whole: against references, by properties, and in simulated worlds.

mod kernel;
mod planning;
mod properties;
mod simulation;
mod world;
