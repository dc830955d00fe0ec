//! What a store keeps, through reopening, refusals and power cuts.
#![cfg(test)]

mod dice;
mod disk;
mod power_cut;
mod records;
mod stores;
