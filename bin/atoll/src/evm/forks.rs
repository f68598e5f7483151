//! Ethereum's hardforks: as state tests name them, and when its mainnet began them.

use atoll_vm::evm::transition::{CfgEnv, SpecId};

/// A fork of the state tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fork {
    /// One with rules that this EVM has.
    Known(SpecId),
    /// One that is left out, with the reason.
    LeftOut(&'static str),
}

/// The fork that state tests call by this name.
pub(crate) fn named(name: &str) -> Fork {
    Fork::Known(match name {
        "Frontier" => SpecId::FRONTIER,
        "Homestead" => SpecId::HOMESTEAD,
        "EIP150" => SpecId::TANGERINE,
        "EIP158" => SpecId::SPURIOUS_DRAGON,
        "Byzantium" => SpecId::BYZANTIUM,
        "ConstantinopleFix" | "Petersburg" => SpecId::PETERSBURG,
        "Istanbul" => SpecId::ISTANBUL,
        "Berlin" => SpecId::BERLIN,
        "London" => SpecId::LONDON,
        "Paris" | "Merge" => SpecId::MERGE,
        "Shanghai" => SpecId::SHANGHAI,
        "Cancun" => SpecId::CANCUN,
        "Prague" => SpecId::PRAGUE,
        "Osaka" => SpecId::OSAKA,
        "Constantinople" => {
            return Fork::LeftOut(
                "Constantinople without Petersburg (EIP-1283) never ran on mainnet; revm has no such rules",
            );
        }
        _ => return Fork::LeftOut("not a fork that this EVM knows"),
    })
}

/// The name of a hardfork.
pub(crate) fn name(spec: SpecId) -> &'static str {
    SCHEDULE.iter().find(|fork| fork.spec == spec).map_or("unknown", |fork| fork.name)
}

struct Scheduled {
    spec: SpecId,
    name: &'static str,
    begins: Begins,
}

enum Begins {
    Block(u64),
    Time(u64),
}

const fn at_block(block: u64, spec: SpecId, name: &'static str) -> Scheduled {
    Scheduled { spec, name, begins: Begins::Block(block) }
}

const fn at_time(seconds: u64, spec: SpecId, name: &'static str) -> Scheduled {
    Scheduled { spec, name, begins: Begins::Time(seconds) }
}

/// The first block after the merge; later forks begin at a time.
const MERGE: u64 = 15_537_394;

/// Mainnet's hardforks in their order. Forks that change no rule of execution (difficulty bombs) are
/// not among them.
const SCHEDULE: [Scheduled; 14] = [
    at_block(0, SpecId::FRONTIER, "Frontier"),
    at_block(1_150_000, SpecId::HOMESTEAD, "Homestead"),
    at_block(2_463_000, SpecId::TANGERINE, "Tangerine Whistle"),
    at_block(2_675_000, SpecId::SPURIOUS_DRAGON, "Spurious Dragon"),
    at_block(4_370_000, SpecId::BYZANTIUM, "Byzantium"),
    at_block(7_280_000, SpecId::PETERSBURG, "Petersburg"),
    at_block(9_069_000, SpecId::ISTANBUL, "Istanbul"),
    at_block(12_244_000, SpecId::BERLIN, "Berlin"),
    at_block(12_965_000, SpecId::LONDON, "London"),
    at_block(MERGE, SpecId::MERGE, "Paris"),
    at_time(1_681_338_455, SpecId::SHANGHAI, "Shanghai"),
    at_time(1_710_338_135, SpecId::CANCUN, "Cancun"),
    at_time(1_746_612_311, SpecId::PRAGUE, "Prague"),
    at_time(1_764_798_551, SpecId::OSAKA, "Osaka"),
];

/// Denominators of the blob fee that changed between hardforks (EIP-7892): from this time on.
const BLOB_FEE_UPDATES: [(u64, u64); 2] = [(1_765_290_071, 8_346_193), (1_767_747_671, 11_684_671)];

/// The hardfork that mainnet ran at a block.
pub(crate) fn at_mainnet(number: u64, timestamp: u64) -> SpecId {
    let begun = |fork: &&Scheduled| match fork.begins {
        Begins::Block(block) => number >= block,
        Begins::Time(seconds) => number >= MERGE && timestamp >= seconds,
    };
    SCHEDULE.iter().rev().find(begun).map_or(SpecId::FRONTIER, |fork| fork.spec)
}

/// The rules of a hardfork on a chain.
pub(crate) fn config(spec: SpecId, chain_id: u64) -> CfgEnv {
    let mut config = CfgEnv::new_with_spec(spec);
    config.chain_id = chain_id;
    config.max_blobs_per_tx = match spec {
        // EIP-7594: a transaction's limit is below the block's.
        SpecId::CANCUN | SpecId::OSAKA => Some(6),
        SpecId::PRAGUE => Some(9),
        _ => None,
    };
    config
}

/// The rules that mainnet ran at a block.
pub(crate) fn mainnet(number: u64, timestamp: u64) -> CfgEnv {
    let mut config = config(at_mainnet(number, timestamp), 1);
    let update = BLOB_FEE_UPDATES.iter().rev().find(|(since, _)| timestamp >= *since);
    config.blob_base_fee_update_fraction = update.map(|(_, fraction)| *fraction);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_runs_under_the_hardfork_of_its_height_or_time() {
        let cases = [
            (1_149_999, 0, "Frontier"),
            (1_150_000, 0, "Homestead"),
            (2_674_999, 0, "Tangerine Whistle"),
            (7_279_999, 0, "Byzantium"),
            (7_280_000, 0, "Petersburg"),
            (15_537_393, 1_663_224_162, "London"),
            (15_537_394, 1_663_224_179, "Paris"),
            (17_034_869, 1_681_338_443, "Paris"),
            (17_034_870, 1_681_338_455, "Shanghai"),
            (19_426_587, 1_710_338_135, "Cancun"),
            (22_431_084, 1_746_612_311, "Prague"),
            (23_935_694, 1_764_798_551, "Osaka"),
        ];
        for (number, timestamp, expected) in cases {
            assert_eq!(name(at_mainnet(number, timestamp)), expected, "block {number}");
        }
        let fraction = |time| mainnet(24_000_000, time).blob_base_fee_update_fraction();
        assert_eq!(fraction(1_764_798_551), 5_007_716);
        assert_eq!(fraction(1_765_290_071), 8_346_193);
        assert_eq!(fraction(1_767_747_671), 11_684_671);
    }

    #[test]
    fn a_fork_that_is_not_known_is_left_out_and_says_why() {
        assert_eq!(named("EIP158"), Fork::Known(SpecId::SPURIOUS_DRAGON));
        assert!(matches!(named("Constantinople"), Fork::LeftOut(why) if why.contains("EIP-1283")));
        assert!(matches!(named("ParisToShanghaiAtTime15k"), Fork::LeftOut(_)));
    }
}
