//! What keeps a client connected, in four bytes of its slot: what it does on this node, and what other nodes say of it.

use std::num::NonZero;

use super::STREAMS_PER_CLIENT_MAX;

/// What a client has on one node. It is connected there unless it has nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Streams that it has open.
    pub streams: u16,
    /// It has said so outside of streams.
    pub by_message: bool,
}

impl Claim {
    /// It is not connected there.
    pub(super) const NOTHING: Self = Self { streams: 0, by_message: false };

    pub(super) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

/// What a client has on this node, and whether other nodes are yet to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Here(u16);

impl Here {
    /// The lowest bits count streams.
    const STREAMS: u16 = (1 << 10) - 1;
    const BY_MESSAGE: u16 = 1 << 10;
    const UNTOLD: u16 = 1 << 11;
    const GOODBYE: u16 = 1 << 12;

    pub(super) fn claim(self) -> Claim {
        Claim { streams: self.streams(), by_message: self.by_message() }
    }

    pub(super) fn is_connected(self) -> bool {
        self.0 & (Self::STREAMS | Self::BY_MESSAGE) != 0
    }

    pub(super) fn streams(self) -> u16 {
        self.0 & Self::STREAMS
    }

    pub(super) fn by_message(self) -> bool {
        self.0 & Self::BY_MESSAGE != 0
    }

    /// Other nodes are to be told what it has.
    pub(super) fn is_untold(self) -> bool {
        self.0 & Self::UNTOLD != 0
    }

    /// They are to be told that it has said goodbye here, too.
    pub(super) fn has_said_goodbye(self) -> bool {
        self.0 & Self::GOODBYE != 0
    }

    pub(super) fn set_by_message(&mut self, on: bool) {
        self.set(Self::BY_MESSAGE, on);
    }

    pub(super) fn set_untold(&mut self, goodbye: bool) {
        self.set(Self::UNTOLD, true);
        self.set(Self::GOODBYE, goodbye || self.has_said_goodbye());
    }

    pub(super) fn set_told(&mut self) {
        self.set(Self::UNTOLD | Self::GOODBYE, false);
    }

    /// One more stream; must not be called with [`STREAMS_PER_CLIENT_MAX`] of them.
    pub(super) fn open(&mut self) {
        const { assert!(STREAMS_PER_CLIENT_MAX < Here::STREAMS, "the count must not run into the bits above it") };
        self.0 += 1;
    }

    /// One stream less; one too many is no reason for a nonsensical number.
    pub(super) fn close(&mut self) {
        self.0 -= u16::from(self.streams() > 0);
    }

    fn set(&mut self, bits: u16, on: bool) {
        if on {
            self.0 |= bits;
        } else {
            self.0 &= !bits;
        }
    }
}

/// Another node, by a number that this one has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(NonZero<u8>);

impl Node {
    /// The highest number.
    pub(super) const MAX: u8 = u8::MAX - 1;

    /// The node with this number, 1 to [`Node::MAX`].
    pub(super) fn new(number: u8) -> Option<Self> {
        NonZero::new(number).filter(|number| number.get() <= Self::MAX).map(Self)
    }

    pub(super) fn number(self) -> usize {
        usize::from(self.0.get())
    }
}

/// What a client has on other nodes, if it has anything: the claim of one node, or a note that there is more to it than
/// fits here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    node: NonZero<u8>,
    /// The lowest bits count streams.
    claim: u8,
}

impl Elsewhere {
    const STREAMS: u8 = (1 << 7) - 1;
    const BY_MESSAGE: u8 = 1 << 7;
    /// See what the shard has beside its slots.
    pub(super) const SEVERAL: Self = Self { node: NonZero::<u8>::MAX, claim: 0 };

    /// The claim of one node, if it fits.
    pub(super) fn of(node: Node, claim: Claim) -> Option<Self> {
        let streams = u8::try_from(claim.streams).ok().filter(|streams| *streams <= Self::STREAMS)?;
        Some(Self { node: node.0, claim: streams | if claim.by_message { Self::BY_MESSAGE } else { 0 } })
    }

    /// The claim of one node, unless there is more to it.
    pub(super) fn get(self) -> Option<(Node, Claim)> {
        let claim =
            Claim { streams: (self.claim & Self::STREAMS).into(), by_message: self.claim & Self::BY_MESSAGE != 0 };
        (self != Self::SEVERAL).then_some((Node(self.node), claim))
    }
}

/// What a client has on one node, for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) id: std::sync::Arc<str>,
    pub(super) claim: Claim,
    /// It has said goodbye, which concerns what it has said on other nodes, too.
    pub(super) goodbye: bool,
    /// When something was last heard of it there.
    pub(super) last_seen: super::Tick,
}
