//! Contracts at addresses that are known before they exist: CREATE2 through the deterministic
//! deployer that most chains have. The same bytes have the same address on every chain, whoever
//! sends them, and cannot be created twice.

use alloy_primitives::{Address, B256, address, hex, keccak256};

/// The deterministic deployer: calldata is a salt and the code to create with.
pub const DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Who signed the deployer's creation, with no key that anyone knows.
pub const DEPLOYER_SIGNER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");
/// What that transaction costs: 100,000 gas at 100 gwei.
pub const DEPLOYER_COST_WEI: u128 = 10_000_000_000_000_000;
/// The transaction, without a chain id: the same on every chain.
pub const DEPLOYER_TRANSACTION: &[u8] = &hex!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7f"
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b80825250505060"
    "14600cf31ba02222222222222222222222222222222222222222222222222222"
    "222222222222a022222222222222222222222222222222222222222222222222"
    "22222222222222"
);
/// The deployer's code.
pub const DEPLOYER_CODE: &[u8] = &hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "e03601600081602082378035828234f58015156039578182fd5b808252505050"
    "6014600cf3"
);

/// Where the deployer puts what `init_code` creates.
pub fn create2_address(salt: B256, init_code: &[u8]) -> Address {
    DEPLOYER.create2(salt, keccak256(init_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployer_is_what_its_creation_leaves_behind() {
        assert_eq!(keccak256(DEPLOYER_TRANSACTION).to_string(), TRANSACTION_HASH);
        assert!(DEPLOYER_TRANSACTION.windows(DEPLOYER_CODE.len()).any(|w| w == DEPLOYER_CODE));
        assert_eq!(DEPLOYER_SIGNER.create(0), DEPLOYER);
    }

    const TRANSACTION_HASH: &str =
        "0xeddf9e61fb9d8f5111840daef55e5fde0041f5702856532cdbb5a02998033d26";
}
