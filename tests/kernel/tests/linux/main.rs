//! What the running kernel shows, and what the simulated NATs show: the same, step by step.
//!
//! One test binary, so that all wait at the same time: most of it is waiting for mappings to die.
#![cfg(target_os = "linux")]

mod events;
mod filtering;
mod lifetimes;
mod mapping;
mod meeting;
mod punching;
mod random;
mod states;
