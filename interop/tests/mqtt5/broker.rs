//! The mqtt5 crate's broker as the suite's server: on a thread of this process, in memory.

use core::{net::SocketAddr, time::Duration};
use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker, auth::AuthProvider, config::StorageBackend};

use crate::common::server::{Server, Setup};

/// A running broker; it ends when it is dropped.
pub(crate) struct Mqtt5 {
    config: BrokerConfig,
    provider: Option<Arc<dyn AuthProvider>>,
    address: SocketAddr,
    running: Option<(BrokerShutdownHandle, JoinHandle<()>)>,
}

/// One more byte than the default of the crate would be more than MQTT can say.
const LARGEST_PACKET: usize = 268_435_455;

impl Mqtt5 {
    /// In memory, on a free port.
    pub(crate) fn config() -> BrokerConfig {
        let mut config = BrokerConfig {
            bind_addresses: vec![([127, 0, 0, 1], 0).into()],
            max_packet_size: LARGEST_PACKET,
            ..BrokerConfig::default()
        };
        config.storage_config.backend = StorageBackend::Memory;
        config.auth_config.rate_limit.enabled = false;
        config
    }

    pub(crate) fn with(config: BrokerConfig) -> Self {
        Self::run(config, None)
    }

    /// Who may come in is what `provider` says.
    pub(crate) fn guarded(config: BrokerConfig, provider: Arc<dyn AuthProvider>) -> Self {
        Self::run(config, Some(provider))
    }

    fn run(config: BrokerConfig, provider: Option<Arc<dyn AuthProvider>>) -> Self {
        let mut server = Self { config, provider, address: ([127, 0, 0, 1], 0).into(), running: None };
        server.launch();
        server
    }

    fn launch(&mut self) {
        let (config, provider) = (self.config.clone(), self.provider.clone());
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut broker = MqttBroker::with_config(config).await.expect("a free port");
                if let Some(provider) = provider {
                    broker = broker.with_auth_provider(provider);
                }
                tell.send((broker.local_addr().expect("bound"), broker.shutdown_handle())).expect("waited for");
                broker.run().await.expect("it ends when it is told to");
            });
        });
        let (address, handle) = told.recv_timeout(Duration::from_secs(20)).expect("it starts");
        self.address = address;
        self.running = Some((handle, thread));
    }
}

impl Server for Mqtt5 {
    const RESENDS_RELEASED: bool = false;

    fn start(setup: Setup) -> Self {
        let mut config = Self::config();
        if let Some(messages) = setup.in_flight {
            config.server_receive_maximum = Some(messages);
            config.max_outbound_inflight = messages;
        }
        assert!(setup.user.is_none(), "authentication has tests of its own");
        Self::with(config)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn unix_path(&self) -> PathBuf {
        panic!("it has no Unix sockets, and no test of this list asks for one")
    }

    fn stop(&mut self) {
        let (handle, thread) = self.running.take().expect("running");
        handle.shutdown();
        thread.join().expect("it ends in order");
    }

    /// Its sessions are gone with its memory.
    fn resume(&mut self) {
        self.config.bind_addresses = vec![self.address];
        self.launch();
    }

    fn provide_system_topic(&self) {} // it has one, some time after it began
}

impl Drop for Mqtt5 {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}
