//! paho's one counter of message identifiers, and which of them are taken.

use karere_proto::PacketId;

/// Counts 1 to 65,535 and around, for messages of every QoS, SUBSCRIBE and UNSUBSCRIBE alike.
#[derive(Debug, Default)]
pub(crate) struct Mids {
    last: u16,
    /// One bit for each identifier; none while nothing of QoS 1 or 2 was ever published.
    taken: Option<Box<[u64; 1024]>>,
}

impl Mids {
    /// The next one, taken or not: paho consumes it either way.
    pub(crate) fn next(&mut self) -> PacketId {
        let next = PacketId::new(self.last).map_or(PacketId::FIRST, PacketId::next);
        self.last = next.get();
        next
    }

    pub(crate) fn take(&mut self, mid: PacketId) {
        let (word, bit) = place(mid.get());
        self.taken.get_or_insert_with(|| Box::new([0; 1024]))[word] |= bit;
    }

    pub(crate) fn give_back(&mut self, mid: u16) {
        let (word, bit) = place(mid);
        if let Some(taken) = &mut self.taken {
            taken[word] &= !bit;
        }
    }

    pub(crate) fn is_taken(&self, mid: PacketId) -> bool {
        let (word, bit) = place(mid.get());
        self.taken.as_ref().is_some_and(|taken| taken[word] & bit != 0)
    }

    /// The last one that was handed out; 0 before the first.
    pub(crate) const fn last(&self) -> u16 {
        self.last
    }
}

const fn place(mid: u16) -> (usize, u64) {
    ((mid >> 6) as usize, 1 << (mid & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_one_and_around_without_zero() {
        let mut mids = Mids::default();
        assert_eq!(mids.last(), 0);
        assert_eq!((mids.next().get(), mids.next().get()), (1, 2));
        for _ in 2..u16::MAX {
            mids.next();
        }
        assert_eq!(mids.last(), u16::MAX);
        assert_eq!(mids.next().get(), 1);
    }

    #[test]
    fn what_is_taken_is_known_until_it_is_given_back() {
        let mut mids = Mids::default();
        let all = (1..=u16::MAX).filter_map(PacketId::new);
        let third = all.clone().filter(|mid| mid.get() % 3 == 0);
        third.clone().for_each(|mid| mids.take(mid));
        assert!(all.clone().all(|mid| mids.is_taken(mid) == (mid.get() % 3 == 0)));
        third.for_each(|mid| mids.give_back(mid.get()));
        assert!(!all.into_iter().any(|mid| mids.is_taken(mid)));
    }
}
