//! What a client does, against mosquitto: own client and own broker could be wrong together.

#[path = "../common/mod.rs"]
mod common;
#[path = "../behaviour/development.rs"]
mod development;
mod every_property;
mod mosquitto;
mod restarts;
mod tap;
mod v5_session;

common::suite::behaviour_suite!(crate::mosquitto::Mosquitto);
