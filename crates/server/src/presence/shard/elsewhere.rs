//! What a shard knows of other nodes' clients, and what they are yet to hear of its own.

use super::{Claim, Claimed, Elsewhere, Node, Outcome, Shard, Tick};

/// Room that is kept for clients that are untold; more is given back once they are told.
const UNTOLD_KEPT: usize = 1_024;

impl Shard {
    /// What other nodes say of a client.
    pub(super) fn claims(&self, index: u32) -> impl Iterator<Item = (Node, Claim)> {
        let elsewhere = self.at(index).elsewhere;
        let several = elsewhere.filter(|all| *all == Elsewhere::SEVERAL).and_then(|_| self.several.get(&index));
        elsewhere.and_then(Elsewhere::get).into_iter().chain(several.into_iter().flatten().copied())
    }

    /// Takes in what a node says of a client, of which something was heard there then.
    pub(in crate::presence) fn claim(
        &mut self,
        index: u32,
        (node, claim): (Node, Claim),
        seen: Tick,
        now: Tick,
    ) -> Outcome {
        let before = self.claims(index).count();
        let is_alone = self.claims(index).all(|(owner, _)| owner == node);
        let elsewhere = if is_alone && (claim.is_nothing() || Elsewhere::of(node, claim).is_some()) {
            self.several.remove(&index);
            Some(claim).filter(|claim| !claim.is_nothing()).and_then(|claim| Elsewhere::of(node, claim))
        } else {
            self.with_several(index, node, claim)
        };
        let outcome = self.set(index, now, |slot| {
            slot.elsewhere = elsewhere;
            // What is heard elsewhere does not make last longer what was said here.
            if !slot.here.by_message() {
                slot.last_seen = slot.last_seen.max(seen);
            }
        });
        self.claims = self.claims - before + self.claims(index).count();
        outcome
    }

    /// The same for a client of whom there is more to keep than fits into its slot.
    fn with_several(&mut self, index: u32, node: Node, claim: Claim) -> Option<Elsewhere> {
        let mut claims: Vec<_> = self.claims(index).filter(|(owner, _)| *owner != node).collect();
        claims.extend(Some((node, claim)).filter(|(_, claim)| !claim.is_nothing()));
        self.several.remove(&index);
        let alone = match claims[..] {
            [] => return None,
            [(owner, claim)] => Elsewhere::of(owner, claim),
            _ => None,
        };
        alone.or_else(|| {
            self.several.insert(index, claims.into_boxed_slice());
            Some(Elsewhere::SEVERAL)
        })
    }

    /// How many claims other nodes have on clients.
    pub(in crate::presence) fn claims_elsewhere(&self) -> usize {
        self.claims
    }

    /// The clients that a node claims, after this id and up to that one, with their ids.
    pub(in crate::presence) fn claimed_between(&self, node: Node, after: &str, upto: Option<&str>) -> Vec<u32> {
        let range = self.range_of_slots(after, false).iter().copied();
        range
            .take_while(|slot| upto.is_none_or(|upto| *self.at(*slot).id <= *upto))
            .filter(|slot| self.claims(*slot).any(|(owner, _)| owner == node))
            .collect()
    }

    pub(in crate::presence) fn id(&self, slot: u32) -> &str {
        &self.at(slot).id
    }

    /// A client has said goodbye on another node: what it has said here, outside of streams, does not count any more.
    pub(in crate::presence) fn goodbye_elsewhere(&mut self, slot: u32, now: Tick) -> Outcome {
        self.set(slot, now, |slot| slot.here.set_by_message(false))
    }

    /// Has changes noted for other nodes from now on, or no more.
    pub(in crate::presence) fn tell(&mut self, telling: bool) {
        self.telling = telling;
        if !telling {
            for slot in std::mem::take(&mut self.untold) {
                self.at_mut(slot).here.set_told();
            }
        }
    }

    /// Notes that other nodes are to be told of a client; gives whether they are to be told at all.
    pub(super) fn note(&mut self, index: u32, goodbye: bool) -> bool {
        if self.telling {
            let here = &mut self.at_mut(index).here;
            let noted = here.is_untold();
            here.set_untold(goodbye);
            if !noted {
                self.untold.push(index);
            }
        }
        self.telling
    }

    /// Takes some of the clients that other nodes are to be told of, as they are now.
    pub(in crate::presence) fn take_untold(&mut self, max: usize) -> Vec<Claimed> {
        // Who has waited longest is first.
        let slots: Vec<_> = self.untold.drain(..max.min(self.untold.len())).collect();
        if self.untold.is_empty() {
            self.untold.shrink_to(UNTOLD_KEPT);
        }
        let take = |slot: u32| {
            let claimed = self.claimed(slot);
            self.at_mut(slot).here.set_told();
            claimed
        };
        slots.into_iter().map(take).collect()
    }

    pub(in crate::presence) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Clients that are connected here, in the order of their ids, after this one.
    pub(in crate::presence) fn claimed_here(&self, after: &str) -> impl Iterator<Item = Claimed> {
        let slots = self.range_of_slots(after, false).iter().copied();
        slots.filter(|slot| self.at(*slot).here.is_connected()).map(|slot| self.claimed(slot))
    }

    fn claimed(&self, slot: u32) -> Claimed {
        let slot = self.at(slot);
        Claimed {
            id: (&*slot.id).into(),
            claim: slot.here.claim(),
            goodbye: slot.here.has_said_goodbye(),
            last_seen: slot.last_seen,
        }
    }
}
