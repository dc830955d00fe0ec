//! Ways through real proxies: microsocks and Dante for SOCKS, tinyproxy for HTTP.

mod client;
mod echo;
mod layers;
mod real;
