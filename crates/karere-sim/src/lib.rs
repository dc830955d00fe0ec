//! Client and broker on virtual time, from a seed.
