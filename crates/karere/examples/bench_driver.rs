//! Drives the callback client for a benchmark harness: one operation, one JSON line. Public API only.
//!
//! ```text
//! bench_driver pub|sub|rtt|idle --host H --port P --qos Q --count N --size S --inflight W --proto 4|5
//! bench_driver … --url URL --ca FILE …
//! ```
//!
//! - `--url` in place of `--host` and `--port` names another way than TCP; `--ca` the authority of its certificate.
//! - `pub`: the clock runs from the first publish call to the last acknowledgement, with at most W outstanding, or at
//!   QoS 0 until all is written to the socket.
//! - `sub`: from SUBSCRIBE to the N-th message in the handler.
//! - `rtt`: publish to itself, one message at a time.
//! - `idle`: N connections with one QoS 1 subscription each; resident memory before and after.

#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::{
    error::Error,
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use karere::{
    Cause, Options, Publish, PublishError, QoS, QueueLimits, Subscribe, Topic, Version,
    sync::{Client, Driver, Handler, Message, Published},
};

const TOPIC: &str = "bench/topic/01234567";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_driver: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone)]
struct Arguments {
    operation: String,
    host: String,
    port: u16,
    /// Instead of host and port.
    url: Option<String>,
    #[cfg(feature = "tls")]
    tls: Option<karere::tls::Tls>,
    qos: QoS,
    count: usize,
    size: usize,
    inflight: u16,
    version: Version,
}

fn run() -> Outcome {
    let arguments = parse()?;
    match arguments.operation.as_str() {
        "pub" => publish(&arguments),
        "sub" => subscribe(&arguments),
        "rtt" => round_trips(&arguments),
        "idle" => idle(&arguments),
        other => Err(format!("unknown operation {other:?}; there are pub, sub, rtt and idle").into()),
    }
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        operation: given.next().ok_or("usage: bench_driver pub|sub|rtt|idle --port P …")?,
        host: "127.0.0.1".to_owned(),
        port: 1883,
        url: None,
        #[cfg(feature = "tls")]
        tls: None,
        qos: QoS::AtMostOnce,
        count: 1000,
        size: 64,
        inflight: 100,
        version: Version::V311,
    };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--host" => arguments.host = value,
            "--port" => arguments.port = value.parse()?,
            "--url" => arguments.url = Some(value),
            #[cfg(feature = "tls")]
            "--ca" => arguments.tls = Some(karere::tls::TlsOptions::new().ca_file(value).build()?),
            "--qos" => arguments.qos = QoS::try_from(value.parse::<u8>()?)?,
            "--count" => arguments.count = value.parse()?,
            "--size" => arguments.size = value.parse()?,
            "--inflight" => arguments.inflight = value.parse()?,
            "--proto" => {
                arguments.version = match value.as_str() {
                    "3" => Version::V31,
                    "4" => Version::V311,
                    "5" => Version::V5,
                    _ => return Err("--proto takes 3, 4 or 5".into()),
                }
            }
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(arguments)
}

impl Arguments {
    fn connect(&self, handler: &mut dyn Handler) -> Result<(Client, Driver), Box<dyn Error>> {
        let options = match &self.url {
            Some(url) => Options::new(url)?,
            None => Options::tcp(&self.host, self.port),
        };
        #[cfg(feature = "tls")]
        let options = match &self.tls {
            Some(tls) => options.tls(tls.clone()),
            None => options,
        };
        let options = options
            .version(self.version)
            .keep_alive(Duration::from_secs(60))
            .max_in_flight(self.inflight)
            .queue_limits(QueueLimits::new(usize::from(self.inflight), usize::MAX));
        let (client, mut driver) = Client::new(options)?;
        driver.connect(handler)?;
        Ok((client, driver))
    }

    fn message(&self) -> Result<Publish, Box<dyn Error>> {
        let topic = Topic::new(TOPIC)?;
        Ok(Publish::new(topic, Bytes::from(vec![b'x'; self.size]))?.qos(self.qos))
    }
}

/// Publishes anew for each message that is done.
struct Publisher {
    message: Publish,
    left: usize,
    done: usize,
    failed: Option<PublishError>,
}

impl Publisher {
    fn publish(&mut self, client: &Client) {
        if self.left > 0 {
            match client.publish(self.message.clone()) {
                Ok(_) => self.left -= 1,
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

impl Handler for Publisher {
    fn on_published(&mut self, client: &Client, published: &Published) {
        assert!(published.outcome.is_acknowledged(), "{}", published.outcome);
        self.done += 1;
        if self.message.qos > QoS::AtMostOnce {
            self.publish(client);
        }
    }
}

fn publish(arguments: &Arguments) -> Outcome {
    let mut publisher = Publisher { message: arguments.message()?, left: arguments.count, done: 0, failed: None };
    let (client, mut driver) = arguments.connect(&mut publisher)?;
    let clock = Clock::start()?;
    if arguments.qos == QoS::AtMostOnce {
        while publisher.left > 0 {
            match client.publish(publisher.message.clone()) {
                Ok(_) => publisher.left -= 1,
                Err(PublishError::QueueFull { .. }) => driver.wait_and_turn(None, &mut publisher)?,
                Err(error) => return Err(error.into()),
            }
        }
    } else {
        for _ in 0..arguments.inflight {
            publisher.publish(&client);
        }
    }
    while publisher.done < arguments.count {
        if let Some(error) = publisher.failed.take() {
            return Err(error.into());
        }
        driver.wait_and_turn(None, &mut publisher)?;
    }
    clock.report(arguments)?;
    leave(&client, driver)
}

/// Counts messages and checks their size.
struct Subscriber {
    size: usize,
    count: usize,
}

impl Handler for Subscriber {
    fn on_message(&mut self, _: &Client, message: &Message) {
        assert_eq!(message.payload.len(), self.size, "a payload of the wrong size");
        self.count += 1;
    }
}

fn subscribe(arguments: &Arguments) -> Outcome {
    let mut subscriber = Subscriber { size: arguments.size, count: 0 };
    let (client, mut driver) = arguments.connect(&mut subscriber)?;
    let clock = Clock::start()?;
    client.subscribe(Subscribe::new(TOPIC, arguments.qos)?)?;
    while subscriber.count < arguments.count {
        driver.wait_and_turn(None, &mut subscriber)?;
    }
    clock.report(arguments)?;
    leave(&client, driver)
}

/// Publishes the next message when the last has come back.
struct PingPong {
    message: Publish,
    left: usize,
    sent: Instant,
    times: Vec<f64>,
    failed: Option<PublishError>,
}

impl PingPong {
    fn publish(&mut self, client: &Client) {
        self.sent = Instant::now();
        if let Err(error) = client.publish(self.message.clone()) {
            self.failed = Some(error);
        }
    }
}

impl Handler for PingPong {
    fn on_message(&mut self, client: &Client, _: &Message) {
        self.times.push(self.sent.elapsed().as_secs_f64() * 1e6);
        self.left -= 1;
        if self.left > 0 {
            self.publish(client);
        }
    }
}

fn round_trips(arguments: &Arguments) -> Outcome {
    let mut game = PingPong {
        message: arguments.message()?,
        left: arguments.count,
        sent: Instant::now(),
        times: Vec::with_capacity(arguments.count),
        failed: None,
    };
    let (client, mut driver) = arguments.connect(&mut game)?;
    let subscribing = client.subscribe(Subscribe::new(TOPIC, arguments.qos)?)?;
    while !subscribing.is_done() {
        driver.wait_and_turn(None, &mut game)?;
    }
    game.publish(&client);
    while game.left > 0 {
        if let Some(error) = game.failed.take() {
            return Err(error.into());
        }
        driver.wait_and_turn(None, &mut game)?;
    }
    game.times.sort_by(f64::total_cmp);
    let at = |part: f64| game.times[((game.times.len() - 1) as f64 * part) as usize];
    println!(
        "{{\"peer\":\"karere\",\"op\":\"rtt\",\"qos\":{},\"count\":{},\"size\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\"cpu_secs\":{:.6},\"max_rss_kb\":{}}}",
        arguments.qos,
        arguments.count,
        arguments.size,
        at(0.5),
        at(0.99),
        cpu_seconds()?,
        status("VmHWM:")?
    );
    leave(&client, driver)
}

fn idle(arguments: &Arguments) -> Outcome {
    let before = status("VmRSS:")?;
    let mut clients = Vec::with_capacity(arguments.count);
    for _ in 0..arguments.count {
        let (client, mut driver) = arguments.connect(&mut ())?;
        let subscribing = client.subscribe(Subscribe::new(TOPIC, QoS::AtLeastOnce)?)?;
        while !subscribing.is_done() {
            driver.wait_and_turn(None, &mut ())?;
        }
        clients.push((client, driver));
    }
    let after = status("VmRSS:")?;
    println!(
        "{{\"peer\":\"karere\",\"op\":\"idle\",\"count\":{},\"rss_before_kb\":{before},\"rss_after_kb\":{after},\"kb_per_client\":{:.2},\"threads\":{}}}",
        arguments.count,
        (after as f64 - before as f64) / arguments.count as f64,
        status("Threads:")?
    );
    Ok(())
}

/// Ends the connection in good order. [`Driver::run`] would connect again.
fn leave(client: &Client, mut driver: Driver) -> Outcome {
    let mut leaving = Leaving { gone: false };
    client.disconnect()?;
    while !leaving.gone {
        driver.wait_and_turn(None, &mut leaving)?;
    }
    Ok(())
}

struct Leaving {
    gone: bool,
}

impl Handler for Leaving {
    fn on_disconnected(&mut self, _: &Client, _: &Cause) {
        self.gone = true;
    }
}

struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self { cpu: cpu_seconds()?, wall: Instant::now() })
    }

    fn report(&self, arguments: &Arguments) -> Outcome {
        let seconds = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds()? - self.cpu;
        println!(
            "{{\"peer\":\"karere\",\"op\":{:?},\"qos\":{},\"count\":{},\"size\":{},\"secs\":{seconds:.6},\"cpu_secs\":{cpu:.6},\"max_rss_kb\":{}}}",
            arguments.operation,
            arguments.qos,
            arguments.count,
            arguments.size,
            status("VmHWM:")?
        );
        Ok(())
    }
}

/// Processor time of all threads so far, by the scheduler's own account.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += line.split_whitespace().next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

fn status(key: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find(|line| line.starts_with(key)).ok_or_else(|| format!("no {key} in /proc/self/status"))?;
    Ok(line.split_whitespace().nth(1).ok_or("empty line")?.parse()?)
}
