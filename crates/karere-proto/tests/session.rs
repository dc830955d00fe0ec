//! A client's session in conversation with a server that says what it is told, on a clock that only the test moves.
//!
//! Each file answers for one part of what a client must do; `kit` is how its tests speak.
#![cfg(test)]

mod session {
    #[macro_use]
    mod kit;

    mod abandoned;
    mod alias;
    mod chosen_ids;
    mod closing;
    mod crash;
    mod credentials;
    mod early;
    mod expiry;
    mod fall_back;
    mod handshake;
    mod hard_cases;
    mod identifiers;
    mod inbound;
    mod journal;
    mod keep_alive;
    mod lenient;
    mod lost_session;
    mod moving;
    mod outbound;
    mod queue;
    mod refusals;
    mod requests;
    mod resubscribe;
    mod resume;
    mod stalled;
    mod state_machines;
    mod trace;
    mod wills;
    mod window;
}
