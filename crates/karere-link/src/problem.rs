//! Why an attempt failed before MQTT could speak.

use core::fmt;
use std::io;

use crate::{
    endpoint::{Address, Endpoint},
    service::ServiceProblem,
};

/// An attempt that failed before MQTT could speak: where it went and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct DialError {
    /// Where the attempt went.
    pub endpoint: Endpoint,
    /// What was in the way.
    pub problem: DialProblem,
}

/// What was in the way.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialProblem {
    /// The application's connector has no socket, or none that can be used.
    Connector(io::Error),
    /// A layer's handshake failed.
    Layer(String),
    /// The name has no address.
    NoAddress,
    /// The application could not say where to go and who to be.
    Refresh(String),
    /// No address took the connection; each with its error.
    Refused(Vec<Failure>),
    /// The name could not be resolved.
    Resolve(io::Error),
    /// The servers of a domain are not known.
    Services(ServiceProblem),
}

/// An address that did not take the connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Which.
    pub address: Address,
    /// Why.
    pub error: io::Error,
}

impl DialError {
    /// The kind of the last error of the operating system, if it was one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.problem {
            DialProblem::Connector(error)
            | DialProblem::Resolve(error)
            | DialProblem::Services(ServiceProblem::NoAnswer(error)) => Some(error.kind()),
            DialProblem::Refused(failures) => failures.last().map(|failure| failure.error.kind()),
            DialProblem::NoAddress | DialProblem::Layer(_) | DialProblem::Refresh(_) | DialProblem::Services(_) => None,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: ", self.endpoint)?;
        match &self.problem {
            DialProblem::Connector(error) => write!(f, "the application's connector: {error}"),
            DialProblem::Layer(why) => f.write_str(why),
            DialProblem::NoAddress => f.write_str("the name has no address"),
            DialProblem::Refresh(why) => write!(f, "the application's access data cannot be had: {why}"),
            DialProblem::Resolve(error) => write!(f, "the name cannot be resolved: {error}"),
            DialProblem::Services(problem) => problem.fmt(f),
            DialProblem::Refused(failures) => {
                for (at, Failure { address, error }) in failures.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "; " };
                    write!(f, "{separator}{address}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl core::error::Error for DialError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.problem {
            DialProblem::Connector(error)
            | DialProblem::Resolve(error)
            | DialProblem::Services(ServiceProblem::NoAnswer(error)) => Some(error),
            DialProblem::Refused(failures) => failures.last().map(|failure| &failure.error as _),
            DialProblem::NoAddress | DialProblem::Layer(_) | DialProblem::Refresh(_) | DialProblem::Services(_) => None,
        }
    }
}
