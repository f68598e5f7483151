//! Which command does what.

use super::Engine;
use crate::command::Command;
use crate::event::{CancelReason, Outcome, Refusal};
use crate::ids::AccountId;
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// Executes a command of an account that there is.
    #[inline]
    pub(crate) fn execute(
        &mut self,
        caller: AccountId,
        command: &Command,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::Place(order) => self.place(caller, order).map(Outcome::Placed),
            Command::Cancel(target) => {
                let cancelled = self.cancel(caller, target, CancelReason::Requested);
                cancelled.map(|_| Outcome::Cancelled(1))
            }
            Command::CancelAll { market } => {
                self.cancel_all(caller, *market).map(Outcome::Cancelled)
            }
            Command::Modify { target, order } => {
                self.modify(caller, target, order).map(Outcome::Placed)
            }
            Command::Transfer { to, asset, wallet, amount } => {
                self.transfer(caller, to, *asset, *wallet, *amount).map(|()| Outcome::Done)
            }
            Command::Move { asset, to, amount } => {
                self.move_collateral(caller, *asset, *to, *amount).map(|()| Outcome::Done)
            }
            Command::SetLeverage { market, leverage, isolated } => {
                let set = self.set_leverage(caller, *market, *leverage, *isolated);
                set.map(|()| Outcome::Done)
            }
            Command::AdjustMargin { market, amount } => {
                self.adjust_margin(caller, *market, *amount).map(|()| Outcome::Done)
            }
            Command::PlaceTrigger(order) => self.place_trigger(caller, order).map(Outcome::Waiting),
            Command::ModifyTrigger { target, order } => {
                self.modify_trigger(caller, target, order).map(Outcome::Waiting)
            }
            Command::PlaceGroup { parent, children } => {
                self.place_group(caller, parent, children).map(Outcome::Grouped)
            }
            Command::AttachTriggers(orders) => {
                self.attach_triggers(caller, orders).map(Outcome::Grouped)
            }
            Command::PlaceTwap(twap) => self.place_twap(caller, twap).map(Outcome::Waiting),
            Command::CancelTwap(twap) => self.cancel_twap(caller, *twap).map(|()| Outcome::Done),
            Command::ScheduleCancel { at_ms } => {
                self.schedule_cancel(caller, *at_ms).map(|()| Outcome::Done)
            }
            Command::PlaceMarket(order) => self.place_market(caller, order).map(Outcome::Placed),
            Command::Liquidate { owner, market } => {
                self.liquidate(owner, *market).map(|()| Outcome::Done)
            }
            Command::Deleverage { market, side } => {
                self.deleverage(*market, *side).map(|()| Outcome::Done)
            }
            Command::FundInsurance { asset, amount } => {
                self.fund_insurance(caller, *asset, *amount).map(|()| Outcome::Done)
            }
            Command::SettlePosition { owner, market } => {
                self.settle_position(owner, *market).map(|()| Outcome::Done)
            }
            Command::SetStatus { market, status } => {
                self.ask_status(caller, *market, *status).map(|()| Outcome::Done)
            }
            Command::ClaimBond { market } => {
                self.claim_bond(caller, *market).map(|()| Outcome::Done)
            }
            Command::ForfeitBond { market } => {
                self.forfeit_bond(caller, *market).map(|()| Outcome::Done)
            }
            // The exchange extends its rules by what was listed.
            Command::ListMarket(listing) => {
                self.list_market(caller, listing).map(|_| Outcome::Done)
            }
        }
    }
}
