//! Messages for a client that receives: published over TCP, as long as they are wanted.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use karere::{
    Options, Publish, PublishError, QoS, QueueLimits, Topic,
    sync::{Client, Driver},
};

/// Where `bench_driver` listens.
const TOPIC: &str = "bench/topic/01234567";

/// Published but not acknowledged at once: a server that is behind slows this down, and nothing is dropped.
const IN_FLIGHT: u16 = 200;

/// A client that publishes on a thread of its own until it is dropped, at QoS 1.
pub(crate) struct Messages {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Messages {
    pub(crate) fn start(url: &str, size: usize) -> Result<Self, Box<dyn Error>> {
        let limits = QueueLimits::new(usize::from(IN_FLIGHT), usize::MAX);
        let options = Options::new(url)?.max_in_flight(IN_FLIGHT).queue_limits(limits);
        let (client, mut driver) = Client::new(options)?;
        driver.connect(&mut ())?;
        let message = Publish::new(Topic::new(TOPIC)?, Bytes::from(vec![b'x'; size]))?.qos(QoS::AtLeastOnce);
        let done = Arc::<AtomicBool>::default();
        let until = Arc::clone(&done);
        let thread = thread::spawn(move || {
            if let Err(error) = publish(&client, driver, &message, &until) {
                eprintln!("bench_transports: no more messages: {error}");
            }
        });
        Ok(Self { done, thread: Some(thread) })
    }
}

fn publish(client: &Client, mut driver: Driver, message: &Publish, until: &AtomicBool) -> Result<(), Box<dyn Error>> {
    while !until.load(Ordering::Relaxed) {
        match client.publish(message.clone()) {
            Ok(_) => {}
            Err(PublishError::QueueFull { .. }) => driver.wait_and_turn(Some(Duration::from_millis(100)), &mut ())?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(()) // the connection just ends
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
