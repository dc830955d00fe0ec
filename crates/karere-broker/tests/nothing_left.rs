//! What is left of a listener that was stopped: nothing. Alone in its process, so that it can count.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use karere_broker::{Config, Server};

/// Threads of this process that serve brokers.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("readable");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "karere-broker").count()
}

/// Open files and sockets of this process.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("readable").count()
}

#[test]
fn no_thread_and_no_socket_is_left_after_stopping() {
    let before = descriptors();
    for round in 0..20 {
        let server = Server::start(Config::new()).expect("started");
        let mut client = TcpStream::connect(server.tcp_addr().expect("listens on TCP")).expect("connected");
        client.write_all(b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01a").expect("written");
        client.read_exact(&mut [0; 4]).expect("CONNACK");
        assert_eq!(threads(), 1);
        if round % 2 == 0 {
            let _broker = server.stop();
        } else {
            drop(server);
        }
        drop(client);
        // A joined thread can be seen for a moment longer.
        let begin = Instant::now();
        while threads() > 0 || descriptors() != before {
            let left = format!("{} threads, {} descriptors, {before} before", threads(), descriptors());
            assert!(begin.elapsed() < Duration::from_secs(10), "{left}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
