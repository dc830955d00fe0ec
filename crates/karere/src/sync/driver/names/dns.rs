//! Questions to name servers, each with a runtime of its own.

use core::{net::SocketAddr, time::Duration};
use std::io;

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};
use karere_link::{Domain, Rank, ServiceProblem, ServiceRecord};
use tokio::runtime::{Builder, Runtime};

/// How long a question may take before it is asked anew, from another port; a lost datagram is sent again before that. With
/// [`ATTEMPTS`] more it ends a little before the link gives up (5 s, unless set): a name server that is away for a moment
/// costs no attempt.
const PATIENCE: Duration = Duration::from_millis(1500);
const ATTEMPTS: usize = 2;

/// The SRV records of a service in a domain.
pub(in super::super) fn services(
    service: &str,
    domain: &Domain,
    name_server: Option<SocketAddr>,
) -> Result<Vec<ServiceRecord>, ServiceProblem> {
    let domain = match domain.name() {
        Some(name) => name.to_owned(),
        None => local_domain(&hickory_resolver::system_conf::read_system_conf().unwrap_or_default().0)?,
    };
    let name = absolute(&format!("{service}.{domain}")).map_err(ServiceProblem::NoAnswer)?;
    let (runtime, resolver) = resolver(name_server).map_err(ServiceProblem::NoAnswer)?;
    let lookup = runtime.block_on(resolver.lookup(name, RecordType::SRV)).map_err(problem)?;
    let record = |data: &RData| match data {
        RData::SRV(srv) => {
            Some(ServiceRecord::new(Rank::new(srv.priority, srv.weight), srv.target.to_ascii(), srv.port))
        }
        _ => None,
    };
    Ok(lookup.answers().iter().filter_map(|answer| record(&answer.data)).collect())
}

/// The addresses of a host.
pub(super) fn addresses(host: &str, port: u16, name_server: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    let name = absolute(host)?;
    let (runtime, resolver) = resolver(Some(name_server))?;
    match runtime.block_on(resolver.lookup_ip(name)) {
        Ok(lookup) => Ok(lookup.iter().map(|address| SocketAddr::new(address, port)).collect()),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(io_error(error)),
    }
}

/// A runtime for one question, and who asks it there.
fn resolver(name_server: Option<SocketAddr>) -> io::Result<(Runtime, TokioResolver)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut builder = match name_server {
        None => TokioResolver::builder_tokio().map_err(io_error)?,
        Some(address) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            let server = NameServerConfig::new(address.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        }
    };
    let options = builder.options_mut();
    options.timeout = options.timeout.min(PATIENCE);
    options.attempts = options.attempts.min(ATTEMPTS);
    let resolver = builder.build().map_err(io_error)?;
    Ok((runtime, resolver))
}

/// This machine's domain: of its resolver's configuration, or what follows the first dot of its host name.
fn local_domain(system: &ResolverConfig) -> Result<String, ServiceProblem> {
    let domain = system.domain().filter(|domain| !domain.is_root()).ok_or(ServiceProblem::NoLocalDomain)?;
    Ok(domain.to_ascii())
}

/// A name that no search list is tried for.
fn absolute(name: &str) -> io::Result<Name> {
    let mut name = Name::from_ascii(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    name.set_fqdn(true);
    Ok(name)
}

/// What the lack of an answer means: a name server that says that there is nothing has answered.
fn problem(error: NetError) -> ServiceProblem {
    if error.is_no_records_found() { ServiceProblem::NoRecords } else { ServiceProblem::NoAnswer(io_error(error)) }
}

fn io_error(error: NetError) -> io::Error {
    match error {
        NetError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time"),
        NetError::Io(error) => io::Error::new(error.kind(), error),
        NetError::Dns(DnsError::ResponseCode(code)) => io::Error::other(format!("the name server says {code}")),
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_of_this_machine_is_its_resolvers_or_an_error_says_that_it_has_none() {
        let of = |domain: Option<&str>| {
            let domain = domain.map(|name| Name::from_ascii(name).unwrap());
            local_domain(&ResolverConfig::from_parts(domain, Vec::new(), Vec::new()))
        };
        assert_eq!(of(Some("example.com")).unwrap(), "example.com");
        for none in [None, Some(".")] {
            assert!(matches!(of(none), Err(ServiceProblem::NoLocalDomain)), "{none:?}");
        }
    }
}
