//! What the end of a connection says about the next attempt.

use karere_proto::{ReasonCode, session::Cause};

/// What the end of a connection says about the next attempt, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Patience may cure it: the usual wait.
    Passing,
    /// This server cannot serve now: another one may, at once; without one, the usual wait.
    Elsewhere,
    /// The server does not want this client: coming back soon would only be a nuisance. The longest wait.
    Denied,
    /// No server will take this CONNECT, however often it is sent: only a change of it can help.
    Unacceptable,
}

/// For how long a server refers to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permanence {
    /// 0x9C Use another server.
    ThisTime,
    /// 0x9D Server moved.
    ForGood,
}

/// What comes after a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// The application ended it: nothing.
    Rest,
    /// The same server, at once.
    SameServer,
    /// A new round, at once: a better server answers.
    Return,
    /// The servers it refers to; without any that can be followed, as [`Class::Elsewhere`].
    Refer(Option<&'a str>, Permanence),
    /// It depends on this.
    Retry(Class),
}

/// What comes after a connection that ended like this.
pub(crate) fn verdict(cause: &Cause) -> Verdict<'_> {
    match cause {
        Cause::Requested => Verdict::Rest,
        Cause::OtherVersion { .. } => Verdict::SameServer,
        Cause::Moving => Verdict::Return,
        Cause::Refused(ack) => of_refusal(ack.reason, ack.properties.server_reference()),
        Cause::Server(disconnect) => of_disconnect(disconnect.reason, disconnect.properties.server_reference()),
        // A silent or a faulty server, a broken path: nothing that speaks against another attempt.
        _ => Verdict::Retry(Class::Passing),
    }
}

/// CONNACK with a reason of 0x80 or above (§3.2.2.2); codes of 3.1 and 3.1.1 are told by the same names.
const fn of_refusal(reason: ReasonCode, reference: Option<&str>) -> Verdict<'_> {
    use ReasonCode as R;
    Verdict::Retry(match reason {
        R::UseAnotherServer => return Verdict::Refer(reference, Permanence::ThisTime),
        R::ServerMoved => return Verdict::Refer(reference, Permanence::ForGood),
        R::ServerUnavailable | R::ServerBusy | R::QuotaExceeded | R::ConnectionRateExceeded => Class::Elsewhere,
        R::BadUserNameOrPassword | R::NotAuthorized | R::Banned | R::BadAuthenticationMethod => Class::Denied,
        R::MalformedPacket
        | R::ProtocolError
        | R::UnsupportedProtocolVersion
        | R::ClientIdentifierNotValid
        | R::TopicNameInvalid
        | R::PacketTooLarge
        | R::PayloadFormatInvalid
        | R::RetainNotSupported
        | R::QoSNotSupported => Class::Unacceptable,
        _ => Class::Passing,
    })
}

/// DISCONNECT of the server (§3.14.2.1).
const fn of_disconnect(reason: ReasonCode, reference: Option<&str>) -> Verdict<'_> {
    use ReasonCode as R;
    Verdict::Retry(match reason {
        R::UseAnotherServer => return Verdict::Refer(reference, Permanence::ThisTime),
        R::ServerMoved => return Verdict::Refer(reference, Permanence::ForGood),
        R::ServerBusy | R::ServerShuttingDown | R::QuotaExceeded | R::ConnectionRateExceeded => Class::Elsewhere,
        // Taken over: someone else has this client identifier, and coming back would throw them out in turn.
        R::NotAuthorized | R::SessionTakenOver | R::AdministrativeAction => Class::Denied,
        _ => Class::Passing,
    })
}

#[cfg(test)]
mod tests {
    use karere_proto::packet::{ConnAck, Disconnect};

    use super::*;

    fn refused(reason: ReasonCode) -> Class {
        let Verdict::Retry(class) = of_refusal(reason, None) else { panic!("{reason}") };
        class
    }

    #[test]
    fn a_refusal_that_will_not_pass_is_not_repeated_and_one_that_may_goes_elsewhere() {
        for reason in [ReasonCode::QoSNotSupported, ReasonCode::RetainNotSupported, ReasonCode::PacketTooLarge] {
            assert_eq!(refused(reason), Class::Unacceptable, "{reason}");
        }
        for reason in [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized, ReasonCode::Banned] {
            assert_eq!(refused(reason), Class::Denied, "{reason}");
        }
        assert_eq!(refused(ReasonCode::ServerUnavailable), Class::Elsewhere);
        assert_eq!(refused(ReasonCode::UnspecifiedError), Class::Passing);
    }

    #[test]
    fn references_of_connack_and_disconnect_are_seen() {
        let ack = Cause::Refused(ConnAck::new(ReasonCode::UseAnotherServer));
        assert_eq!(verdict(&ack), Verdict::Refer(None, Permanence::ThisTime));
        let gone = Cause::Server(Disconnect::new(ReasonCode::ServerMoved));
        assert_eq!(verdict(&gone), Verdict::Refer(None, Permanence::ForGood));
    }

    #[test]
    fn a_client_that_was_thrown_out_does_not_come_back_at_once() {
        for reason in [ReasonCode::SessionTakenOver, ReasonCode::AdministrativeAction] {
            assert_eq!(verdict(&Cause::Server(Disconnect::new(reason))), Verdict::Retry(Class::Denied), "{reason}");
        }
    }
}
