//! The broker behind WebSocket.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use karere_broker::{
    Broker, Server,
    listener::{Address, Subprotocol},
};
use karere_proto::{Packet, PacketId, QoS, ReasonCode, Version};
use tungstenite::{
    Error, Message,
    client::IntoClientRequest,
    handshake::client::{Request, Response},
    http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
    protocol::{
        CloseFrame,
        frame::Frame,
        frame::coding::{CloseCode, Data, OpCode},
    },
};

use crate::{
    client::{Client, dial, dial_to, eventually},
    transport::{self, Trickle, impatient},
};

const ANY_PORT: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 0);

/// MQTT's bytes in binary messages of a WebSocket.
pub(crate) struct Framed<S> {
    pub(crate) socket: tungstenite::WebSocket<S>,
    read: Bytes,
    /// At most as many bytes go into one frame.
    pub(crate) frame: usize,
    /// As many frames make a message.
    pub(crate) fragments: usize,
    sent: usize,
}

impl<S: Read + Write> Framed<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            socket: upgrade(stream, request("mqtt")).expect("accepted").0,
            read: Bytes::new(),
            frame: usize::MAX,
            fragments: 1,
            sent: 0,
        }
    }

    /// The code of the closing frame that comes next.
    fn close_code(&mut self) -> CloseCode {
        match self.socket.read() {
            Ok(Message::Close(Some(CloseFrame { code, .. }))) => code,
            other => panic!("expected a closing frame, got {other:?}"),
        }
    }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.read = bytes,
                Ok(Message::Close(_) | Message::Pong(_) | Message::Ping(_)) => {}
                Err(Error::ConnectionClosed) => return Ok(0),
                Err(Error::Io(error)) => return Err(error),
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
        let count = buffer.len().min(self.read.len());
        self.read.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.frame);
        let is_first = self.sent.is_multiple_of(self.fragments);
        self.sent += 1;
        let is_last = self.sent.is_multiple_of(self.fragments);
        let data = if is_first { Data::Binary } else { Data::Continue };
        let frame = Frame::message(Bytes::copy_from_slice(&bytes[..count]), OpCode::Data(data), is_last);
        self.socket.write(Message::Frame(frame)).map(|()| count).map_err(|error| match error {
            Error::Io(error) => error,
            other => io::Error::other(other),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

fn request(subprotocol: &str) -> Request {
    let mut request = "ws://127.0.0.1/any/where?with=query".into_client_request().expect("legal");
    if !subprotocol.is_empty() {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(subprotocol).expect("legal"));
    }
    request
}

/// Asks for a WebSocket.
fn upgrade<S: Read + Write>(stream: S, request: Request) -> Result<(tungstenite::WebSocket<S>, Response), Error> {
    tungstenite::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("blocks"),
    })
}

fn serve() -> Server {
    Server::options(Broker::default()).websocket(ANY_PORT).start().expect("started")
}

fn address(server: &Server) -> SocketAddr {
    server.websocket_addr().expect("listens for WebSocket")
}

fn framed(server: &Server) -> Framed<TcpStream> {
    Framed::new(dial_to(address(server)))
}

fn connected(server: &Server) -> Client<Framed<TcpStream>> {
    Client::connect(framed(server), Version::V5, "a")
}

/// The only thing that went wrong.
fn trouble(server: &Server) -> String {
    eventually("something goes wrong", || !server.troubles().is_empty());
    let troubles = server.troubles();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    troubles[0].why.clone()
}

/// The end is told with a closing frame, the broker knows of it, and others are served.
fn ends(server: &Server, mut client: Client<Framed<TcpStream>>, code: CloseCode) {
    assert_eq!(client.socket.close_code(), code);
    assert_eq!(client.receive(), None);
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    assert!(trouble(server).starts_with("WebSocket: "), "{}", trouble(server));
    connected(server);
}

/// What is answered to these bytes, until the connection is closed.
fn answer(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = dial_to(address);
    socket.write_all(bytes).expect("written");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("closed orderly");
    String::from_utf8(answer).expect("text")
}

fn refusal(server: &Server, request: Request) -> StatusCode {
    match upgrade(dial_to(address(server)), request) {
        Err(Error::Http(response)) => response.status(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn messages_travel_and_clients_are_many() {
    let server = serve();
    transport::messages_travel(&server, framed);
    transport::many_are_served(&server, framed);
}

#[test]
fn faults_are_done_to_mqtt() {
    transport::faults_are_done(&serve(), framed);
}

#[test]
fn stopping_is_told() {
    transport::stopping_is_told(serve(), framed);
}

#[test]
fn who_does_not_read_is_not_read() {
    transport::who_does_not_read_is_not_read(&serve(), framed, |framed| framed.socket.get_mut());
}

#[test]
fn packets_and_frames_begin_and_end_anywhere() {
    let server = serve();
    for (frame, fragments) in [(1, 1), (2, 3), (7, 5), (12, 7), (105, 4), (420, 1)] {
        let mut client = connected(&server);
        client.socket.frame = frame;
        client.socket.fragments = fragments;
        client.socket.sent = 0;
        client.socket.write_all(&[0xC0, 0].repeat(210)).expect("written");
        client.socket.flush().expect("flushed");
        assert_eq!(client.socket.sent % fragments, 0, "whole messages");
        for _ in 0..210 {
            assert_eq!(client.receive(), Some(Packet::PingResp), "{fragments} frames of {frame}");
        }
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let server = serve();
    let mut client = Client::connect(Framed::new(Trickle(dial_to(address(&server)))), Version::V5, "a");
    client.subscribe_at("t", QoS::ExactlyOnce);
    assert_eq!(client.echo(QoS::ExactlyOnce, vec![7; 1000].into()), vec![7; 1000]);
}

#[test]
fn pings_are_answered_also_before_connect_and_amid_a_message() {
    let server = serve();
    let mut framed = framed(&server);
    framed.socket.send(Message::Ping("before".into())).expect("sent");
    assert_eq!(framed.socket.read().expect("answered"), Message::Pong("before".into()));
    let mut client = Client::connect(framed, Version::V5, "a");
    let part = |data, bytes: &'static [u8], is_last| Message::Frame(Frame::message(bytes, OpCode::Data(data), is_last));
    client.socket.socket.send(part(Data::Binary, &[0xC0], false)).expect("sent");
    client.socket.socket.send(Message::Ping("amid".into())).expect("sent");
    assert_eq!(client.socket.socket.read().expect("answered"), Message::Pong("amid".into()));
    client.socket.socket.send(part(Data::Continue, &[0], true)).expect("sent");
    assert_eq!(client.receive(), Some(Packet::PingResp));
}

#[test]
fn a_flood_of_pings_is_held_back() {
    let server = serve();
    let client = connected(&server);
    let mut raw = client.socket.socket.get_ref().try_clone().expect("cloned");
    raw.set_write_timeout(Some(Duration::from_millis(500))).expect("set");
    let ping = [&[0x89, 0xFD, 0, 0, 0, 0][..], &[7; 125]].concat().repeat(1000);
    let mut sent = 0;
    while raw.write_all(&ping).is_ok() {
        sent += ping.len();
        assert!(sent < 50_000_000, "50 MB of pings were taken from a client that reads nothing");
    }
}

#[test]
fn the_closing_handshake_is_answered() {
    let server = serve();
    let mut client = connected(&server);
    client.socket.socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "bye".into() })).expect("sent");
    assert_eq!(client.socket.close_code(), CloseCode::Away);
    assert_eq!(client.receive(), None);
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    assert_eq!(server.with(|broker| broker.counters().lost), 1, "no DISCONNECT came");
    assert_eq!(server.troubles(), []);
}

#[test]
fn mqtt_before_the_closing_frame_counts() {
    let server = serve();
    let mut client = connected(&server);
    client.publish(PacketId::FIRST, "last words");
    client.socket.socket.write(Message::Binary(Bytes::from_static(&[0xE0, 0]))).expect("written");
    client.socket.socket.close(None).expect("sent");
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    assert_eq!(server.with(|broker| broker.counters().messages_in), [0, 1, 0]);
    assert_eq!(server.with(|broker| broker.counters().lost), 0);
}

#[test]
fn text_is_refused() {
    let server = serve();
    let mut client = connected(&server);
    client.socket.socket.send(Message::Text("\u{0}".into())).expect("sent");
    ends(&server, client, CloseCode::Unsupported);
}

#[test]
fn unmasked_frames_are_refused() {
    let server = serve();
    let mut client = connected(&server);
    client.socket.socket.get_mut().write_all(&[0x82, 2, 0xC0, 0]).expect("written");
    ends(&server, client, CloseCode::Protocol);
}

#[test]
fn frames_too_long_are_refused_by_their_header() {
    for (length, code) in
        [(1u64 << 63, CloseCode::Size), (u64::MAX, CloseCode::Size), ((64 << 20) + 1, CloseCode::Size)]
    {
        let server = serve();
        let mut client = connected(&server);
        let header = [&[0x82, 0xFF][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
        client.socket.socket.get_mut().write_all(&header).expect("written");
        ends(&server, client, code);
    }
}

#[test]
fn frames_that_break_the_protocol_are_refused() {
    let broken: [&[u8]; 5] = [
        &[0xC2, 0x80, 0, 0, 0, 0],         // a reserved bit
        &[0x83, 0x80, 0, 0, 0, 0],         // a reserved kind
        &[0x80, 0x80, 0, 0, 0, 0],         // goes on with nothing
        &[0x09, 0x80, 0, 0, 0, 0],         // a ping in parts
        &[0x89, 0xFE, 0, 126, 0, 0, 0, 0], // a ping too long, by its header
    ];
    for bytes in broken {
        let server = serve();
        let mut client = connected(&server);
        client.socket.socket.get_mut().write_all(bytes).expect("written");
        if bytes[1] == 0xFE {
            client.socket.socket.get_mut().write_all(&[0; 126]).expect("written");
        }
        ends(&server, client, CloseCode::Protocol);
    }
}

#[test]
fn mqtt_errors_end_the_websocket_orderly() {
    let server = serve();
    let mut client = connected(&server);
    client.socket.socket.send(Message::Binary(Bytes::from_static(&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF]))).expect("sent");
    assert!(matches!(client.receive(), Some(Packet::Disconnect(why)) if why.reason != ReasonCode::Success));
    // Nobody listens any more, whatever comes; who comes later is served after it.
    client.socket.socket.get_mut().write_all(&[0x82, 2, 0xC0, 0]).expect("written");
    connected(&server);
    assert_eq!(client.socket.close_code(), CloseCode::Normal);
    assert_eq!(client.receive(), None);
    assert_eq!(server.troubles(), [], "MQTT's own errors are told by MQTT");
}

#[test]
fn the_first_known_subprotocol_is_selected() {
    let server = serve();
    for (offered, selected) in [("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("chat,mqttv3.1 , mqtt", "mqttv3.1")] {
        let mut socket = dial_to(address(&server));
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: here\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: {offered}\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("written");
        let mut answer = [0; 1000];
        let count = socket.read(&mut answer).expect("answered");
        let answer = String::from_utf8_lossy(&answer[..count]).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains(&format!("\r\nsec-websocket-protocol: {selected}\r\n")), "{answer}");
        assert!(answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "the example of RFC 6455: {answer}");
    }
}

#[test]
fn who_offers_no_known_subprotocol_is_refused() {
    for offered in ["", "chat", "MQTT", "mqtt5"] {
        let server = serve();
        assert_eq!(refusal(&server, request(offered)), StatusCode::BAD_REQUEST, "{offered}");
        assert!(trouble(&server).contains("sub-protocol"), "{}", trouble(&server));
        connected(&server);
    }
}

#[test]
fn a_server_can_be_told_to_select_none_or_another() {
    let options = || Server::options(Broker::default()).websocket(ANY_PORT);
    let ignoring = options().websocket_subprotocol(Subprotocol::Ignored).start().expect("started");
    let (_, response) = upgrade(dial_to(address(&ignoring)), request("")).expect("accepted");
    assert_eq!(response.headers().get(SEC_WEBSOCKET_PROTOCOL), None);
    let raw = |server: &Server| {
        let mut socket = dial_to(address(server));
        let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        socket.write_all(request.as_bytes()).expect("written");
        let mut answer = [0; 1000];
        let count = socket.read(&mut answer).expect("answered");
        String::from_utf8_lossy(&answer[..count]).to_ascii_lowercase()
    };
    assert!(raw(&ignoring).starts_with("http/1.1 101 "));
    assert!(!raw(&ignoring).contains("protocol:"));
    let forcing = options().websocket_subprotocol(Subprotocol::Forced("chat".into())).start().expect("started");
    assert!(raw(&forcing).contains("\r\nsec-websocket-protocol: chat\r\n"));
    let impossible = options().websocket_subprotocol(Subprotocol::Forced("\n".into())).start().expect("started");
    assert!(raw(&impossible).starts_with("http/1.1 500 "));
}

#[test]
fn one_path_can_be_the_only_one() {
    let server =
        Server::options(Broker::default()).websocket(ANY_PORT).websocket_path("/mqtt").start().expect("started");
    assert_eq!(refusal(&server, request("mqtt")), StatusCode::NOT_FOUND);
    assert!(trouble(&server).contains("path"), "{}", trouble(&server));
    let mut right = request("mqtt");
    *right.uri_mut() = "ws://127.0.0.1/mqtt?token=secret".parse().expect("legal");
    upgrade(dial_to(address(&server)), right).expect("accepted");
}

#[test]
fn other_requests_are_answered() {
    let get = "GET / HTTP/1.1\r\nHost: h\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, status) in [
        (format!("{get}\r\n"), "400"),
        (format!("{get}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), "426"),
        (format!("{get}{upgrade}{key}\r\n"), "426"),
        (format!("{get}{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n"), "426"),
        (format!("{get}{upgrade}Sec-WebSocket-Version: 13\r\n\r\n"), "400"),
        (format!("{get}{upgrade}{key}Sec-WebSocket-Version: 13\r\n\r\n\u{2}"), "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "405"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "400"),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
        (format!("{get}X: {}\r\n\r\n", "x".repeat(17_000)), "431"),
        (format!("{get}{}\r\n", "x: y\r\n".repeat(130)), "431"),
        ("\u{10}\r\u{0}\u{4}MQTT\u{4}\u{2}\u{0}<\u{0}\u{1}a".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}".to_owned(), "400"),
    ] {
        let server = serve();
        let answer = answer(address(&server), request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("complete");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        assert!(trouble(&server).starts_with("WebSocket: "), "{}", trouble(&server));
        assert_eq!(server.with(|broker| broker.counters().bytes_in), 0, "nothing of it is MQTT");
        connected(&server);
    }
}

#[test]
fn http_at_the_port_of_plain_mqtt_ends() {
    let server = Server::options(Broker::default()).tcp(ANY_PORT).start().expect("started");
    assert_eq!(answer(server.tcp_addr().expect("listens"), b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n"), "");
    Client::connect(dial(&server), Version::V5, "another");
}

#[test]
fn unfinished_handshakes_end() {
    let server = Server::options(impatient()).websocket(ANY_PORT).start().expect("started");
    transport::unfinished_handshakes_end(address(&server), b"");
    transport::unfinished_handshakes_end(address(&server), b"GET / HTTP/1.1\r\nHost: h\r\n");
    let troubles = server.troubles();
    assert_eq!(troubles.len(), 2);
    assert!(troubles.iter().all(|trouble| trouble.why.contains("not over")), "{troubles:?}");
    // After the handshake the same time counts for CONNECT.
    let begin = Instant::now();
    let mut silent = framed(&server);
    assert_eq!(silent.close_code(), CloseCode::Normal);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_leaves_in_the_handshake_is_noted() {
    let server = serve();
    dial_to(address(&server)).write_all(b"GET /").expect("written");
    assert!(trouble(&server).contains("left"), "{}", trouble(&server));
    let trouble = server.troubles().remove(0);
    assert_eq!(trouble.address, Address::WebSocket(address(&server)));
    assert!(trouble.to_string().starts_with("connection 0 at address 127.0.0.1:"), "{trouble}");
}

#[test]
fn one_who_is_told_to_go_and_does_not_listen_is_closed_all_the_same() {
    let server = serve();
    let mut client = connected(&server);
    let mut raw = client.socket.socket.get_ref().try_clone().expect("cloned");
    // The closing frame stays unanswered, the client just goes on sending.
    client.socket.socket.send(Message::Text("x".into())).expect("sent");
    let begin = Instant::now();
    let error = loop {
        assert!(begin.elapsed() < Duration::from_secs(10), "still open");
        if let Err(error) = raw.write_all(&[0; 1000]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
}
