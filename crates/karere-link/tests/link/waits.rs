//! How long a link waits between rounds.

use karere_link::{Event, Jitter, Reconnect, Resting};
use karere_proto::session::CloseCause;

use crate::world::{SECOND, World, policy};

const HERE: &str = "10.0.0.1:1883";

#[test]
fn waits_double_and_start_again_after_a_stable_connection() {
    let mut world = World::direct(policy());
    world.connect();
    let mut seen = Vec::new();
    for _ in 0..9 {
        assert_eq!(world.dials().len(), 1);
        world.refuse(HERE);
        seen.push(world.wait());
        assert_eq!(Some(&world.pass_to_deadline()), seen.last());
    }
    assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 120, 120].map(|times| times * SECOND));

    world.connected(HERE);
    world.pass(9 * SECOND);
    world.lose(CloseCause::Closed);
    assert_eq!(world.wait(), 120 * SECOND, "9 seconds are not stable");
    let _ = world.pass_to_deadline();
    world.connected(HERE);
    world.pass(10 * SECOND);
    world.lose(CloseCause::Closed);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn waits_with_jitter_lie_between_the_minimum_and_the_doubled_delay() {
    let mut spread = policy();
    spread.jitter = Jitter::Uniform;
    let mut world = World::direct(spread);
    world.connect();
    let mut distinct = std::collections::BTreeSet::new();
    for round in 0..60 {
        assert_eq!(world.dials().len(), 1);
        world.refuse(HERE);
        let wait = world.wait();
        let limit = (SECOND * 2_u32.saturating_pow(round.min(7))).min(120 * SECOND);
        assert!((SECOND..=limit).contains(&wait), "round {round}: {wait:?}");
        distinct.insert(wait);
        let _ = world.pass_to_deadline();
    }
    assert!(distinct.len() > 50, "drawn, not computed");
}

#[test]
fn the_longest_wait_is_spread_over_its_upper_half() {
    let mut spread = policy();
    spread.jitter = Jitter::Uniform;
    let mut world = World::direct(spread);
    world.connect();
    let mut distinct = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let _ = world.dials();
        let _ = world.open(HERE);
        world.refused(0x86);
        let wait = world.wait();
        assert!((60 * SECOND..=120 * SECOND).contains(&wait), "{wait:?}");
        distinct.insert(wait);
        let _ = world.pass_to_deadline();
    }
    assert!(distinct.len() > 30, "drawn, not computed");
}

#[test]
fn after_a_denial_waits_stay_long_until_a_connection_is_stable() {
    let mut world = World::direct(policy());
    world.connect();
    let _ = world.dials();
    let _ = world.open(HERE);
    world.refused(0x8A);
    let _ = world.pass_to_deadline();
    let _ = world.dials();
    world.refuse(HERE);
    assert_eq!(world.wait(), 120 * SECOND);
    let _ = world.pass_to_deadline();
    world.connected(HERE);
    world.pass(10 * SECOND);
    world.lose(CloseCause::Closed);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn connecting_while_it_waits_dials_at_once() {
    let mut world = World::direct(policy());
    world.connect();
    let _ = world.dials();
    world.refuse(HERE);
    world.expect_dials(&[]);
    world.connect();
    assert_eq!(world.dials().len(), 1);
}

#[test]
fn reconnect_never_makes_one_attempt() {
    let mut never = policy();
    never.reconnect = Reconnect::Never;
    let mut world = World::direct(never);
    world.connect();
    let _ = world.dials();
    world.refuse(HERE);
    assert!(
        matches!(world.events().as_slice(), [Event::Attempting(_), Event::Failed(_), Event::Resting(Resting::Policy)]),
        "no wait is told"
    );
    world.connect();
    world.connected(HERE);
    world.lose(CloseCause::Closed);
    assert_eq!(world.resting(), Resting::Policy);
}
