//! What fuzzing has found, each as the shortest conversation that shows it. URLs and options have theirs beside them.
#![cfg(test)]

use karere_link::{Dial, Link, Options, Rng, Use, Ways};
use std::io;
use std::time::{Duration, Instant};

#[test]
#[expect(clippy::disallowed_methods, reason = "some instant to count from; no test reads the clock again")]
fn times_for_ever_do_not_overflow() {
    let options = Options::new("mqtt://[::1]").unwrap();
    let options = options.reconnect_delay(Duration::MAX, Duration::MAX).connect_timeout(Duration::MAX);
    let parts = options.into_parts(&mut Rng::new(1)).unwrap();
    let mut now = Instant::now();
    let mut link = Link::new(parts.servers, Ways::default(), parts.policy, Rng::new(1));
    link.connect(now);
    for _ in 0..3 {
        while let Some(dial) = link.poll_dial() {
            match dial {
                Dial::Connect { attempt, .. } => {
                    let refused = Err(io::ErrorKind::ConnectionRefused.into());
                    assert_eq!(link.handle_dialed(now, attempt, refused), Use::None);
                }
                other => panic!("an address needs no {other:?}"),
            }
        }
        now = link.poll_timeout().unwrap();
        link.handle_timeout(now);
    }
}
