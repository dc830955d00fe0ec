//! The development broker as the suite's server.

use core::{net::SocketAddr, num::NonZeroU16};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use karere::Publish;
use karere_broker::{Broker, Config, Server as Listener};

use crate::common::server::{Server, Setup};

#[derive(Debug)]
pub(crate) struct Development {
    pub(crate) listener: Option<Listener>,
    /// While it is stopped.
    broker: Option<Broker>,
    address: SocketAddr,
    path: PathBuf,
}

impl Development {
    pub(crate) fn of(config: Config) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("karere-{}-{}.sock", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let listener = serve(Broker::new(config), ([127, 0, 0, 1], 0).into(), path.clone());
        let address = listener.tcp_addr().expect("it listens on TCP");
        Self { listener: Some(listener), broker: None, address, path }
    }

    pub(crate) fn with<T>(&self, with: impl FnOnce(&mut Broker) -> T) -> T {
        self.listener.as_ref().expect("running").with(with)
    }
}

fn serve(broker: Broker, address: SocketAddr, path: PathBuf) -> Listener {
    Listener::options(broker).tcp(address).unix(path).start().expect("a free port")
}

impl Server for Development {
    const RESENDS_RELEASED: bool = false;

    fn start(setup: Setup) -> Self {
        let mut config = Config::new();
        if let Some((name, password)) = setup.user {
            config = config.user(name, password);
        }
        if let Some(messages) = setup.in_flight.and_then(NonZeroU16::new) {
            config = config.receive_maximum(messages).maximum_in_flight(messages);
        }
        Self::of(config)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn unix_path(&self) -> PathBuf {
        self.path.clone()
    }

    fn stop(&mut self) {
        self.broker = self.listener.take().map(Listener::stop);
    }

    fn resume(&mut self) {
        let broker = self.broker.take().expect("stopped");
        self.listener = Some(serve(broker, self.address, self.path.clone()));
    }

    fn provide_system_topic(&self) {
        let version = Publish::new("$SYS/broker/version", "development").expect("legal").retained();
        let _ = self.with(|broker| broker.publish(Instant::now(), version));
    }
}
