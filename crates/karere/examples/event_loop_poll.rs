//! A client in a loop around plain `poll(2)`, which tells of levels; another thread publishes meanwhile.
//!
//! ```sh
//! cargo run --example event_loop_poll                      # with a broker of its own
//! cargo run --example event_loop_poll -- mqtt://localhost  # with yours
//! ```

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::{
    error::Error,
    io::{Read, Write},
    os::fd::BorrowedFd,
    process::ExitCode,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use karere::{
    Options, Publish, QoS, Subscribe,
    sync::{Client, Handler, Interest, Message, Ready, Subscribed},
};
use karere_broker::{Config, Server};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const MESSAGES: usize = 5;
const TOPIC: &str = "karere/poll";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("event_loop_poll: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the publishing thread once the subscription stands, and counts what comes.
#[derive(Default)]
struct Counter {
    received: usize,
    publishing: Option<thread::JoinHandle<Result<(), karere::PublishError>>>,
}

impl Handler for Counter {
    fn on_subscribed(&mut self, client: &Client, _: &Subscribed) {
        let client = client.clone();
        self.publishing = Some(thread::spawn(move || {
            for number in 1..=MESSAGES {
                let message = Publish::new(TOPIC, format!("message {number}")).expect("a legal topic");
                client.publish(message.qos(QoS::ExactlyOnce))?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }));
    }

    fn on_message(&mut self, _: &Client, message: &Message) {
        println!("received {:?}", String::from_utf8_lossy(&message.payload));
        self.received += 1;
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (server, url) = match std::env::args().nth(1) {
        Some(url) => (None, url),
        None => {
            let server = Server::start(Config::new())?;
            let address = server.tcp_addr().ok_or("the broker has no TCP address")?;
            (Some(server), format!("mqtt://{address}"))
        }
    };
    let (client, mut driver) = Client::new(Options::new(&url)?)?;
    let mut handler = Counter::default();

    // A byte through a pipe ends the wait when another thread has given the client something to do.
    let (mut woken, wake) = std::io::pipe()?;
    let wake = Mutex::new(wake);
    client.wake_with(Some(Arc::new(move || {
        if let Ok(mut wake) = wake.lock() {
            // A full pipe wakes just as well.
            let _ = wake.write(&[0]);
        }
    })));
    client.connect();
    client.subscribe(Subscribe::new(TOPIC, QoS::ExactlyOnce)?)?; // goes out with the connection

    let mut ready = Ready::NONE;
    loop {
        driver.turn(ready, &mut handler);
        if handler.received == MESSAGES && client.is_connected() {
            client.disconnect_when_drained(Duration::from_secs(1))?;
        }
        if handler.received == MESSAGES && driver.fd().is_none() {
            break;
        }
        let mut flags = PollFlags::IN;
        if driver.interest() == Interest::ReadWrite {
            flags |= PollFlags::OUT;
        }
        let timeout = driver.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(Timespec::try_from).transpose()?;
        let socket = driver.socket();
        let mut watched = vec![PollFd::new(&woken, PollFlags::IN)];
        watched.extend(socket.map(|socket: BorrowedFd<'_>| PollFd::from_borrowed_fd(socket, flags)));
        poll(&mut watched, timeout.as_ref())?;
        let returned = watched.get(1).map_or(PollFlags::empty(), PollFd::revents);
        let pipe = watched[0].revents();
        ready.readable = returned.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        ready.writable = returned.intersects(PollFlags::OUT | PollFlags::ERR);
        if pipe.contains(PollFlags::IN) {
            let _ = woken.read(&mut [0; 64])?;
        }
    }
    if let Some(publishing) = handler.publishing.take() {
        publishing.join().map_err(|_| "the publishing thread panicked")??;
    }
    if let Some(server) = server {
        server.stop();
    }
    Ok(())
}
