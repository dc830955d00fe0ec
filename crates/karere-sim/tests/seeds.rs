//! Some thousand seeds, and that a seed means the same every time.

use karere_sim::{run, trace};

#[test]
fn what_must_hold_holds_for_two_thousand_seeds() {
    let next = std::sync::atomic::AtomicU64::new(0);
    let work = || {
        let mut deceived = 0;
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= 2000 {
                return deceived;
            }
            let report = run(seed).unwrap_or_else(|failure| panic!("{failure}"));
            deceived += report.deceived;
        }
    };
    let deceived = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let deceived = deceived.iter().sum::<u64>();
    assert!(deceived < 20, "{deceived} clients were promised nothing: the simulation excuses too much");
}

#[test]
fn a_seed_does_the_same_every_time() {
    for seed in 0..50 {
        let steps = || {
            let mut lines = Vec::new();
            let report = trace(seed, |line| lines.push(line)).unwrap_or_else(|failure| panic!("{failure}"));
            (lines, report)
        };
        assert_eq!(steps(), steps(), "seed {seed}");
        assert_eq!(run(seed).map_err(|failure| failure.to_string()), Ok(steps().1), "seed {seed}, without a trace");
    }
}
