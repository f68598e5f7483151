//! Ledgers: the money of an asset, all accounts together.

use crate::field::{Field, record};
use crate::ids::{Amount, AssetId};
use alloc::vec::Vec;
use atoll_state::{Key, Object, Sharing};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// Finds the ledger of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LedgerKey(pub AssetId);
impl Encode for LedgerKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for LedgerKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for LedgerKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        Some(u32::from(self.0.0))
    }
}

/// What came in, went out, was charged and rounded, of one asset:
/// deposits + inbound − withdrawals − outbound = balances + bonds + fees + insurance + rounding + funding
/// − shortfall.
///
/// Funding is paid by each account when its position is next touched, payers and receivers at
/// different times: `funding` is what those who settled paid more than others received. What all
/// open positions have still to pay, exactly, is `dust − funding × 10⁹`, in units × 10⁻⁹; the rest
/// of rounding it against each account goes to `rounding`, as soon as it comes to a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Came in from the hub.
    pub deposits: Amount,
    /// Left for the hub.
    pub withdrawals: Amount,
    /// Received from other environments.
    pub inbound: Amount,
    /// Sent to other environments.
    pub outbound: Amount,
    /// Fees charged less rebates paid.
    pub fees: Amount,
    /// What rounding left over; never negative.
    pub rounding: Amount,
    /// The insurance fund: interest on debts, its part of fees, what was given to it, less what it
    /// paid for bankrupt accounts.
    pub insurance: Amount,
    /// What bankrupt accounts owe and nobody has covered yet; insurance repays it first.
    pub shortfall: Amount,
    /// Funding paid less funding received so far.
    pub funding: Amount,
    /// What rounding funding left over and is no unit yet, in units × 10⁻⁹.
    pub funding_dust: u32,
    /// Moved into collateral wallets less moved out, of an asset with a cap.
    pub pledged: Amount,
}
record!(Ledger {
    deposits,
    withdrawals,
    inbound,
    outbound,
    fees,
    rounding,
    insurance,
    shortfall,
    funding,
    funding_dust,
    pledged,
});

impl Ledger {
    /// Deposits + inbound − withdrawals − outbound: what the environment owes its accounts, fees
    /// and rounding included.
    pub fn balance(&self) -> Amount {
        self.deposits + self.inbound - self.withdrawals - self.outbound
    }

    /// Adds what was booked apart, on a ledger that began with nothing. The order of bookings makes
    /// no difference as long as there is no shortfall, which insurance would repay first.
    #[cfg(feature = "std")]
    pub(crate) fn absorb(&mut self, apart: &Self) {
        let Self {
            deposits,
            withdrawals,
            inbound,
            outbound,
            fees,
            rounding,
            insurance,
            shortfall,
            funding,
            funding_dust,
            pledged,
        } = *apart;
        self.deposits += deposits;
        self.withdrawals += withdrawals;
        self.inbound += inbound;
        self.outbound += outbound;
        self.fees += fees;
        self.rounding += rounding;
        self.insurance += insurance;
        self.shortfall += shortfall;
        self.pledged += pledged;
        self.book_funding(funding, funding_dust);
    }
}

impl Object for Ledger {
    const TAG: u8 = 7;
    const NAME: &'static str = "ledger";
    type Key = LedgerKey;
    const SHARING: Sharing = Sharing::Apart;
}
