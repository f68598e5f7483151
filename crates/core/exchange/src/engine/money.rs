//! Money that comes in, goes out and moves between wallets and accounts.

use super::Engine;
use crate::command::Outside;
use crate::event::{BalanceCause, Event, Refusal};
use crate::ids::{AccountId, Amount, AssetId, Wallet};
use crate::objects::{
    AccountEntry, AccountKey, AddressKey, BalanceKey, GlobalKey, Ledger, LedgerKey,
};
use crate::spec::SUPPLY_MAX;
use atoll_state::Source;
use atoll_types::{Address, RejectCode};

/// How money comes in.
#[derive(Clone, Copy)]
pub(crate) enum Border {
    /// From the hub.
    Deposit,
    /// From another environment.
    Inbound,
    /// It had left and could not be delivered.
    Back(Outside),
}

/// Bound of what one sum of a ledger counts before the next amount.
const SUM_MAX: Amount = Amount::MAX / 4;

/// What counts the money that left.
fn left(ledger: &mut Ledger, outside: Outside) -> &mut Amount {
    match outside {
        Outside::Hub => &mut ledger.withdrawals,
        Outside::Environment => &mut ledger.outbound,
    }
}

/// What a balance change is about.
#[derive(Clone, Copy)]
pub(super) struct Purse {
    pub(super) account: AccountId,
    pub(super) asset: AssetId,
    pub(super) wallet: Wallet,
}

const UNKNOWN: Refusal = Refusal::new(
    RejectCode::UnknownAccount,
    "this address has no account here; the first deposit opens one",
);

impl<S: Source> Engine<'_, S> {
    /// The number of an address's account.
    pub(crate) fn account(&mut self, address: &Address) -> Option<AccountId> {
        let entry = self.state.addresses.get(&AddressKey(*address));
        entry.number.checked_sub(1).map(AccountId)
    }

    pub(crate) fn credit(
        &mut self,
        border: Border,
        address: &Address,
        asset: AssetId,
        wallet: Wallet,
        amount: Amount,
    ) -> Result<(), Refusal> {
        self.check_money(asset, wallet, amount)?;
        if *address == Address::ZERO {
            let message = "the zero address can have no account; name whose account it is for";
            return Err(Refusal::new(RejectCode::UnknownAccount, message));
        }
        let ledger = self.state.ledgers.get(&LedgerKey(asset));
        let booked = match border {
            Border::Deposit => ledger.deposits,
            Border::Inbound => ledger.inbound,
            Border::Back(Outside::Hub) => ledger.withdrawals,
            Border::Back(Outside::Environment) => ledger.outbound,
        };
        let fits = match border {
            Border::Deposit | Border::Inbound => booked <= SUM_MAX,
            Border::Back(_) => booked >= amount,
        };
        if !fits {
            let message = "this does not fit what was booked of the asset so far";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        if ledger.balance() > SUPPLY_MAX - amount {
            let message = "the environment would hold above 2^96 of the asset's smallest unit";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        // What comes back is taken back.
        if wallet == Wallet::Collateral && !matches!(border, Border::Back(_)) {
            self.check_cap(asset, amount)?;
        }
        let account = match self.account(address) {
            Some(account) => account,
            None => self.open(address)?,
        };
        let ledger = self.state.ledgers.get_mut(&LedgerKey(asset));
        let cause = match border {
            Border::Deposit => {
                ledger.deposits += amount;
                BalanceCause::Credit
            }
            Border::Inbound => {
                ledger.inbound += amount;
                BalanceCause::Receive
            }
            Border::Back(outside) => {
                *left(ledger, outside) -= amount;
                BalanceCause::Return
            }
        };
        self.add(Purse { account, asset, wallet }, amount, cause);
        Ok(())
    }

    fn open(&mut self, address: &Address) -> Result<AccountId, Refusal> {
        let global = self.state.global.get_mut(&GlobalKey);
        let account = AccountId(global.accounts);
        // The entry is the number plus one, and must fit as well.
        if account.0 >= u32::MAX - 1 {
            let message = "the environment has as many accounts as it can number";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        global.accounts += 1;
        let entry = AccountEntry { number: account.0 + 1 };
        self.state.addresses.set(&AddressKey(*address), entry);
        self.state.accounts.get_mut(&AccountKey(account)).address = *address;
        self.events.push(Event::AccountOpened { account, address: *address });
        Ok(account)
    }

    pub(crate) fn debit(
        &mut self,
        outside: Outside,
        address: &Address,
        asset: AssetId,
        wallet: Wallet,
        amount: Amount,
    ) -> Result<(), Refusal> {
        self.check_money(asset, wallet, amount)?;
        let account = self.account(address).ok_or(UNKNOWN)?;
        let purse = Purse { account, asset, wallet };
        self.check_free(purse, amount)?;
        let mut ledger = *self.state.ledgers.get(&LedgerKey(asset));
        let left = left(&mut ledger, outside);
        if *left > SUM_MAX {
            let message = "more of the asset has left than the ledger can count";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        *left += amount;
        self.state.ledgers.set(&LedgerKey(asset), ledger);
        let cause = match outside {
            Outside::Hub => BalanceCause::Debit,
            Outside::Environment => BalanceCause::Send,
        };
        self.add(purse, -amount, cause);
        Ok(())
    }

    pub(crate) fn transfer(
        &mut self,
        account: AccountId,
        to: &Address,
        asset: AssetId,
        wallet: Wallet,
        amount: Amount,
    ) -> Result<(), Refusal> {
        self.check_money(asset, wallet, amount)?;
        let receiver = self.account(to).ok_or(UNKNOWN)?;
        let purse = Purse { account, asset, wallet };
        self.check_free(purse, amount)?;
        self.add(purse, -amount, BalanceCause::Transfer);
        self.add(Purse { account: receiver, ..purse }, amount, BalanceCause::Transfer);
        Ok(())
    }

    /// Takes money of the account's for the insurance fund.
    pub(crate) fn give_to_insurance(
        &mut self,
        account: AccountId,
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Refusal> {
        let wallet = Wallet::Collateral;
        self.check_money(asset, wallet, amount)?;
        let purse = Purse { account, asset, wallet };
        self.check_free(purse, amount)?;
        self.add(purse, -amount, BalanceCause::Insurance);
        Ok(())
    }

    pub(crate) fn move_collateral(
        &mut self,
        account: AccountId,
        asset: AssetId,
        to: Wallet,
        amount: Amount,
    ) -> Result<(), Refusal> {
        // One of the two is the collateral wallet.
        self.check_money(asset, Wallet::Collateral, amount)?;
        if to == Wallet::Collateral {
            self.check_cap(asset, amount)?;
        }
        let from = match to {
            Wallet::Collateral => Wallet::Spot,
            Wallet::Spot => Wallet::Collateral,
        };
        let purse = Purse { account, asset, wallet: from };
        self.check_free(purse, amount)?;
        self.add(purse, -amount, BalanceCause::Move);
        self.add(Purse { wallet: to, ..purse }, amount, BalanceCause::Move);
        Ok(())
    }

    /// Whether the collateral wallets may hold so much more of an asset.
    fn check_cap(&mut self, asset: AssetId, amount: Amount) -> Result<(), Refusal> {
        let Some(pledge) = self.rules.pledge(asset).filter(|pledge| pledge.cap != 0) else {
            return Ok(());
        };
        let room = pledge.cap - self.state.ledgers.get(&LedgerKey(asset)).pledged;
        if amount <= room {
            return Ok(());
        }
        let message = "the venue takes no more of this asset as collateral; keep it in spot";
        Err(Refusal::money(RejectCode::AtCap, message, room.max(0), amount))
    }

    fn check_money(&self, asset: AssetId, wallet: Wallet, amount: Amount) -> Result<(), Refusal> {
        let refuse = |code, message| Err(Refusal::new(code, message));
        if !self.rules.has_asset(asset) {
            return refuse(RejectCode::Unsupported, "there is no asset with this number");
        }
        let collateral =
            asset == self.rules.spec().collateral || self.rules.pledge(asset).is_some();
        if wallet == Wallet::Collateral && !collateral {
            let message = "this asset is no collateral; keep it in the spot wallet";
            return refuse(RejectCode::Unsupported, message);
        }
        if amount <= 0 || amount > SUPPLY_MAX {
            return refuse(RejectCode::Overflow, "the amount must be above zero and at most 2^96");
        }
        Ok(())
    }

    /// Whether so much may leave a wallet.
    pub(super) fn check_free(&mut self, purse: Purse, amount: Amount) -> Result<(), Refusal> {
        let (have, code) = match purse.wallet {
            Wallet::Spot => {
                (self.available(purse.account, purse.asset), RejectCode::InsufficientBalance)
            }
            Wallet::Collateral if purse.asset != self.rules.spec().collateral => {
                return self.check_free_pledge(purse, amount);
            }
            Wallet::Collateral => {
                let margin = self.margin(purse.account, None);
                // What a deposit that was never traded with is missing is plainly a balance.
                let short = margin.collateral < amount;
                let code = if short {
                    RejectCode::InsufficientBalance
                } else {
                    RejectCode::InsufficientMargin
                };
                (margin.withdrawable(), code)
            }
        };
        if have >= amount {
            return Ok(());
        }
        let message = "not so much is free; ask for less, cancel orders or reduce positions";
        Err(Refusal::money(code, message, have, amount))
    }

    /// Whether so much of other collateral may leave: what remains must cover the account.
    fn check_free_pledge(&mut self, purse: Purse, amount: Amount) -> Result<(), Refusal> {
        let Purse { account, asset, .. } = purse;
        let have = self.pledged(account, asset);
        let message = "not so much is free; ask for less, cancel orders or reduce positions";
        if have < amount {
            let code = RejectCode::InsufficientBalance;
            return Err(Refusal::money(code, message, have.max(0), amount));
        }
        let margin = self.margin_if(account, None, (asset, -amount));
        let (have, need) = (margin.equity(), margin.initial());
        if have >= need {
            return Ok(());
        }
        Err(Refusal::money(RejectCode::InsufficientMargin, message, have, need))
    }

    pub(super) fn add(&mut self, purse: Purse, change: Amount, cause: BalanceCause) {
        let Purse { account, asset, wallet } = purse;
        let balance = match wallet {
            Wallet::Collateral => {
                let capped = self.rules.pledge(asset).is_some_and(|pledge| pledge.cap != 0);
                if capped && cause != BalanceCause::Transfer {
                    self.state.ledgers.get_mut(&LedgerKey(asset)).pledged += change;
                }
                self.pay(account, asset, change)
            }
            Wallet::Spot => {
                let owned = self.state.balances.get_mut(&BalanceKey { account, asset });
                owned.total += change;
                owned.total
            }
        };
        let changed = Event::BalanceChanged { account, asset, wallet, change, balance, cause };
        self.events.push(changed);
    }
}
