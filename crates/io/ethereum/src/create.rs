//! Contracts at addresses that are known before they exist.
//!
//! Implementations go through the deterministic deployer that most chains have: the same bytes
//! have the same address, and two hubs on one chain share them. What a hub has for itself is
//! created by a factory of its own, at addresses that depend on the factory and a number alone, so
//! that contracts can be given one another's addresses in their constructors and nobody can call
//! an initialiser first. The factory obeys its owner only, and takes each number once.

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

/// The factory's code.
///
/// ```text
/// caller != owner             -> revert
/// word(calldata, 0) != slot 0 -> revert
/// slot 0 += 1
/// create(callvalue, calldata[32..]) == 0 -> revert with its data
/// return the address
/// ```
pub fn factory_code(owner: Address) -> Vec<u8> {
    [
        // caller == owner
        &hex!("3373")[..],
        owner.as_slice(),
        &hex!("18603f57"),
        // the number is the next one; count it
        &hex!("3d54803d3518603f576001013d55"),
        // create(callvalue, 0, calldatasize - 32)
        &hex!("602036038060203d373d34f08015603f57"),
        // return it
        &hex!("3d5260203df3"),
        // 0x3f: revert with what the creation returned
        &hex!("5b3d600060003e3d6000fd"),
    ]
    .concat()
}

/// What creates the factory.
pub fn factory_init_code(owner: Address) -> Vec<u8> {
    [&hex!("604a8060093d393df3")[..], &factory_code(owner)].concat()
}

/// Where the factory puts its `number`-th contract, from 0.
pub fn factory_address(factory: Address, number: u64) -> Address {
    // A contract's nonce begins with 1.
    factory.create(number + 1)
}

/// Calldata for the factory: create its `number`-th contract, from 0.
pub fn factory_call(number: u64, init_code: &[u8]) -> Vec<u8> {
    let number = B256::from(alloy_primitives::U256::from(number));
    [number.as_slice(), init_code].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployer_is_what_its_creation_leaves_behind() {
        assert_eq!(keccak256(DEPLOYER_TRANSACTION).to_string(), TRANSACTION_HASH);
        assert!(DEPLOYER_TRANSACTION.windows(DEPLOYER_CODE.len()).any(|w| w == DEPLOYER_CODE));
        assert_eq!(DEPLOYER_SIGNER.create(0), DEPLOYER);
        let code = factory_code(Address::ZERO);
        assert_eq!((code.len(), code[0x3f]), (0x4a, 0x5b));
    }

    const TRANSACTION_HASH: &str =
        "0xeddf9e61fb9d8f5111840daef55e5fde0041f5702856532cdbb5a02998033d26";
}
