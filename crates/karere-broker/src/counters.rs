//! What a broker has seen and done, in numbers.

use karere_proto::QoS;

/// Numbers since the broker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Transports that were opened.
    pub opened: u64,
    /// CONNECTs that were accepted.
    pub accepted: u64,
    /// CONNECTs that were refused, malformed ones included.
    pub refused: u64,
    /// Connections that ended otherwise than by DISCONNECT with reason code 0, refused ones included.
    pub lost: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes handed to the driver.
    pub bytes_out: u64,
    /// PUBLISH packets received, by QoS; those that faults dropped are not counted.
    pub messages_in: [u64; 3],
    /// PUBLISH packets sent, by QoS; those that faults dropped are not counted.
    pub messages_out: [u64; 3],
    /// PUBLISH packets received with DUP set.
    pub duplicates_in: u64,
    /// PUBLISH packets of QoS 2 whose identifier was still held: acknowledged again, not routed again.
    pub duplicates_suppressed: u64,
    /// PUBLISH packets sent with DUP set.
    pub duplicates_out: u64,
    /// Messages dropped because the queue of a session was full.
    pub dropped_full: u64,
    /// Messages dropped because they expired (§3.3.2.3.3).
    pub dropped_expired: u64,
    /// Messages dropped because a client takes no packets of that size [MQTT-3.1.2-25].
    pub dropped_too_large: u64,
    /// QoS 0 messages dropped because a connection did not take what was sent to it.
    pub dropped_slow: u64,
    /// Acknowledgements of packet identifiers that were not in flight; they are ignored.
    pub unknown_acks: u64,
    /// Connections ended because the client broke the protocol or a limit.
    pub protocol_errors: u64,
    /// Faults that were done.
    pub faults: u64,
}

impl Counters {
    pub(crate) fn message_in(&mut self, qos: QoS) {
        self.messages_in[usize::from(qos.level())] += 1;
    }

    pub(crate) fn message_out(&mut self, qos: QoS) {
        self.messages_out[usize::from(qos.level())] += 1;
    }
}
