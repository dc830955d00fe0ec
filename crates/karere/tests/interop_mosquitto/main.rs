//! What a client does, against mosquitto: own client and own broker could be wrong together.

#[path = "../common/mod.rs"]
mod common;
mod mosquitto;
mod restarts;

common::suite::behaviour_suite!(crate::mosquitto::Mosquitto);
