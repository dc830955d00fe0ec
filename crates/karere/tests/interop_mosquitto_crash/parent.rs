//! The process that lives on: it starts the program, kills it, publishes for it, sees what it publishes, and keeps the ledger.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use karere::sync::{Callbacks, Client};
use karere::{FirstConnection, Options, Publish, QoS, SessionExpiry, Subscribe};

use super::{
    Break, PATIENCE,
    child::LastLife,
    delay::Delay,
    ledger::{Found, Ledger},
    mosquitto::Mosquitto,
    qos_of,
};

/// Kills between two orderly restarts of the server.
const RESTART: usize = 20;

/// Kills the program so often, then lets it end what it has begun. Gives what the ledger found, and its figures.
pub(crate) fn run(broken: Break, cycles: usize) -> (Found, String) {
    let mut server = Mosquitto::start(&format!("{broken:?}"));
    let way = Delay::to(server.port);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let options = |id: &str| {
        Options::tcp("127.0.0.1", server.port)
            .client_id(id)
            .session_expiry(SessionExpiry::Never)
            .first_connection(FirstConnection::Retry)
            .reconnect_delay(Duration::from_millis(5), Duration::from_millis(40))
    };
    let (observer, driver) = Client::new(options("observer")).unwrap();
    let seeing = Arc::clone(&ledger);
    let _observing = driver
        .spawn(Callbacks::new().on_message(move |_, message| {
            let number = core::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            seeing.lock().unwrap().see(number);
        }))
        .unwrap();
    observer.subscribe(Subscribe::new("out/#", QoS::ExactlyOnce).unwrap()).unwrap().wait(PATIENCE).unwrap();
    let (publisher, driver) = Client::new(options("publisher")).unwrap();
    let _publishing = driver.spawn(Callbacks::new()).unwrap();
    publisher.wait_until_connected(PATIENCE).unwrap();

    let file = server.folder.join("session.redb").to_str().unwrap().to_owned();
    let start = |life: usize, last: LastLife| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program
            .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("KARERE_CRASH_PORT", way.port.to_string())
            .env("KARERE_CRASH_FILE", &file)
            .env("KARERE_CRASH_BREAK", format!("{broken:?}"))
            .env("KARERE_CRASH_FIRST", (life as u64 * 1_000_000).to_string())
            .env("KARERE_CRASH_LAST", format!("{last:?}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Life::begin(program.spawn().expect("this program can be started"), &ledger)
    };
    let mut dice = Dice(u64::from(std::process::id()));
    let mut offered = 0;
    for life in 1..=cycles {
        let running = start(life, LastLife::No);
        if life == 1 {
            running.told("subscribed"); // else the server takes what nobody wants
        }
        let until = Instant::now() + Duration::from_millis(20 + dice.below(180));
        let mut open = Vec::new();
        while Instant::now() < until {
            let publish = Publish::new("in/x", offered.to_string()).unwrap().qos(qos_of(offered));
            open.push((offered, publisher.publish(publish).unwrap()));
            offered += 1;
            thread::sleep(Duration::from_millis(dice.below(4)));
        }
        running.kill(&way);
        for (number, publishing) in open {
            if publishing.wait(PATIENCE).unwrap().is_acknowledged() {
                ledger.lock().unwrap().offer(number);
            }
        }
        if life % RESTART == 0 && broken == Break::Nothing {
            server.restart();
            observer.wait_until_connected(PATIENCE).unwrap();
            publisher.wait_until_connected(PATIENCE).unwrap();
        }
    }
    start(cycles + 1, LastLife::Yes).ends();
    let deadline = Instant::now() + Duration::from_secs(3);
    while !ledger.lock().unwrap().is_complete() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let mut ledger = ledger.lock().unwrap();
    let mut found = ledger.close();
    // What the server sends again although it has sent PUBREL is no mistake of the client.
    let mistaken = core::mem::take(&mut way.tap.lock().unwrap().mistaken);
    found.doubled_in.retain(|number| !mistaken.contains(number));
    let summary = format!("{}; the server sent {} again after their PUBREL", ledger.summary(), mistaken.len());
    (found, summary)
}

/// One life of the program.
struct Life {
    process: Child,
    lines: mpsc::Receiver<String>,
    reader: thread::JoinHandle<()>,
}

impl Life {
    fn begin(mut process: Child, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let said = BufReader::new(process.stdout.take().expect("piped"));
        let ledger = Arc::clone(ledger);
        let (tell, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut heard = Vec::new();
            for line in said.lines().map_while(Result::ok) {
                // The test harness talks on the same line before the first.
                if let Some((_, line)) = line.split_once('@') {
                    let _ = tell.send(line.to_owned());
                    heard.push(line.to_owned());
                }
            }
            // At the end, and what is durable first: two threads of the program tell of one message.
            let mut ledger = ledger.lock().unwrap();
            heard.sort_by_key(|line| u8::from(line.starts_with("done")));
            for line in heard {
                ledger.hear(&line);
            }
        });
        Self { process, lines, reader }
    }

    fn told(&self, what: &str) {
        while self.lines.recv_timeout(PATIENCE).expect("the program tells") != what {}
    }

    /// By SIGKILL, and what it has sent and the server has not read yet is gone too.
    fn kill(mut self, way: &Delay) {
        self.process.kill().unwrap();
        way.cut();
        let status = self.process.wait().unwrap();
        self.reader.join().unwrap();
        if status.code().is_some() {
            let mut why = String::new();
            let _ = std::io::Read::read_to_string(&mut self.process.stderr.take().expect("piped"), &mut why);
            panic!("the program ended by itself, {status}: {why}");
        }
    }

    fn ends(mut self) {
        self.told("idle");
        assert!(self.process.wait().unwrap().success());
        self.reader.join().unwrap();
    }
}

struct Dice(u64);

impl Dice {
    const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
