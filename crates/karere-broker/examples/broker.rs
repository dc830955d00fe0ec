//! Runs the development broker until it is interrupted (Ctrl-C).
//!
//! ```text
//! cargo run -p karere-broker --example broker -- --port 1883 --user name:password
//! ```
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::{
    env,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use karere_broker::{Broker, Config, Server};

const USAGE: &str = "usage: broker [--port PORT] [--bind ADDRESS] [--unix PATH] [--user NAME:PASSWORD]... [--stats]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new();
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1883));
    let mut path = None;
    let mut stats = false;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--port" => address.set_port(value()?.parse()?),
            "--bind" => address.set_ip(value()?.parse()?),
            "--unix" => path = Some(value()?),
            "--user" => {
                let user = value()?;
                let (name, password) = user.split_once(':').ok_or(USAGE)?;
                config = config.user(name, password);
            }
            "--stats" => stats = true,
            _ => return Err(USAGE.into()),
        }
    }
    let mut options = Server::options(Broker::new(config)).tcp(address);
    if let Some(path) = path {
        options = options.unix(path);
    }
    let server = options.start()?;
    for address in server.local_addrs() {
        println!("listening on {address}");
    }
    loop {
        thread::sleep(Duration::from_secs(5));
        if stats {
            println!("{:?}", server.with(|broker| broker.counters()));
        }
    }
}
