//! Whether estates agree with the rankings of their counterparties, and with what those gave.

use crate::engine::Turn;
use crate::exchange::Exchange;
use crate::ids::{AccountId, MarketId, Side};
use crate::objects::{BookId, EstateKey, Phase, ranking};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_state::ordered::MEMBER_MAX;

impl<S: Source> Exchange<S> {
    /// Who gave to an estate and may have to give more is in its list, for its second turn; the
    /// estate counts them.
    pub(super) fn check_estates(&self, wrong: &mut Vec<String>) {
        let shares = self.state.shares.local_iter();
        let mut shares: BTreeSet<(BookId, AccountId)> =
            shares.map(|(key, _)| (key.estate, key.account)).collect();
        let mode = self.rules.spec().liquidation.deleveraging;
        for (key, estate) in self.state.estates.local_iter() {
            let (market, other) = (MarketId((key.0.0 >> 1) as u16), key.0.0 & 1 == 0);
            let list = ranking(market, if other { Side::Sell } else { Side::Buy });
            let (mut waiting, mut to) = (0, Some(MEMBER_MAX));
            while let Some(member) = to.and_then(|to| list.peek_last_to(&self.state.pages, to)) {
                let (turn, account) = Turn::of_member(member, mode);
                if turn == Turn::Second {
                    waiting += 1;
                    shares.remove(&(key.0, account));
                }
                to = member.checked_sub(1);
            }
            if waiting != estate.waiting {
                wrong.push(format!("{waiting} wait for a second turn at {key:?}: {estate:?}"));
            }
        }
        if !shares.is_empty() {
            wrong.push(format!("shares of who is in no list: {shares:?}"));
        }
    }

    /// Whether a set is the ranking of an estate's counterparties, which holds what it holds.
    pub(super) fn is_ranking(&self, set: u64) -> bool {
        let book = set ^ 6 << 60;
        let estate = EstateKey(BookId(u32::try_from(book).unwrap_or(u32::MAX) ^ 1));
        set >> 60 == 6 && self.state.estates.peek(&estate).is_some_and(|e| e.phase != Phase::None)
    }
}
