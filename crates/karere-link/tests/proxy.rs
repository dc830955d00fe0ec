//! Proxies: what is said to them byte by byte, what their answers mean, and which server is reached through which.
#![cfg(test)]

#[path = "proxy/talk.rs"]
mod talk;

#[path = "proxy/environment.rs"]
mod environment;
#[path = "proxy/hostile.rs"]
mod hostile;
#[path = "proxy/http.rs"]
mod http;
#[path = "proxy/no_proxy.rs"]
mod no_proxy;
#[path = "proxy/socks4.rs"]
mod socks4;
#[path = "proxy/socks5.rs"]
mod socks5;
#[path = "proxy/stacks.rs"]
mod stacks;
#[path = "proxy/urls.rs"]
mod urls;
