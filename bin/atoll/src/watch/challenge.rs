//! What is wrong with a commitment of the hub, and challenging it.

use super::{Judged, Watch};
use crate::hub::calls;
use crate::money::wait_options;
use alloy_sol_types::SolCall;
use anyhow::{Context, Result};
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::{self, IAnchor, Record};
use atoll_types::{B256, Encode, Statement, U256, merkle_proof};
use serde_json::json;
use std::time::Instant;

/// The statements of a commitment that the hub has, and their hashes.
type Stated = (Vec<abi::Statement>, Vec<B256>);

impl Watch<'_> {
    /// What is wrong with the commitment that the hub has, where it is not what execution gives.
    pub(super) fn difference(&self, judged: &Judged, record: &Record) -> String {
        let ours = match &judged.expected {
            Err(why) => return why.clone(),
            Ok(right) if judged.left_out.is_some() => return judged.leaves_out(right, record),
            Ok(right) => right,
        };
        let hashes =
            || format!("the hub has {}, execution gives {}", record.hash, ours.commitment.hash());
        let Ok((theirs, stated)) = self.statements(judged, record) else { return hashes() };
        let both = theirs.iter().zip(&stated).zip(&ours.statements);
        let differs =
            |((_, hash), ours): &((&abi::Statement, &B256), &Statement)| **hash != ours.hash();
        let Some(((theirs, _), ours)) = both.into_iter().find(differs) else {
            return "it does not follow from its statements".into();
        };
        let specs = &self.chain.outside.specs;
        let spec = specs.iter().find(|spec| spec.id == ours.environment);
        let name = spec.map_or("?", |spec| spec.name.as_str());
        match theirs.postRoot == ours.post_root {
            true => format!("the statement of {name} is not what execution gives"),
            false => format!(
                "it says that {name} has state root {}, execution gives {}",
                theirs.postRoot, ours.post_root
            ),
        }
    }

    /// Challenges a commitment on the hub.
    pub(super) fn challenge(
        &mut self,
        judged: &Judged,
        record: &Record,
        seen: Instant,
    ) -> Result<()> {
        let Some(key) = &self.key else {
            self.say("nothing is challenged without --key");
            return Ok(());
        };
        let on = &self.chain.outside.on;
        let number = judged.number;
        let ours = judged.expected.as_ref().ok().map(|right| &right.statements);
        let (theirs, hashes) = self.statements(judged, record)?;
        let hash_of = |s: &Statement| s.hash();
        let differs =
            |at: &usize| ours.is_some_and(|o| o.get(*at).map(hash_of) != Some(hashes[*at]));
        let at = (0..hashes.len()).find(differs).unwrap_or(0);
        let leaves: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_slice()).collect();
        // For whoever decides: what was left out, or what the statement should have been.
        let (kind, claim) = match (&judged.left_out, ours.and_then(|ours| ours.get(at))) {
            (Some(certificate), _) => ("certificate", certificate.to_bytes()),
            (None, Some(statement)) => ("statement", statement.to_bytes()),
            (None, None) => ("none", Vec::new()),
        };
        let call = IAnchor::challengeCall {
            number,
            s: theirs[at].clone(),
            index: U256::from(at),
            proof: merkle_proof(&leaves, at).context("a statement without a place")?,
            claim: claim.into(),
        };
        let bond = U256::from(on.anchor(&IAnchor::challengeBondCall {})?);
        let anchor = on.contracts.anchor;
        let sent = atoll_ethereum::deploy::call(
            &on.client,
            key,
            "challenge",
            anchor,
            bond,
            call.abi_encode(),
            wait_options(),
        );
        let (step, receipt) = sent.context("the challenge did not get onto the hub")?;
        let after = seen.elapsed();
        let time_s = on.client.block(BlockId::Number(receipt.block))?.map(|block| block.time_s);
        self.report.challenges.push(json!({
            "commitment": number,
            "environment": theirs[at].environment,
            "claim": kind,
            "transaction": receipt.transaction.to_string(),
            "gas_used": step.gas_used,
            "bond_wei": bond.to_string(),
            "after_ms": after.as_millis() as u64,
            "anchored_s": record.anchoredAt,
            "challenged_s": time_s,
        }));
        self.say(&format!(
            "challenged commitment {number} with {} ({} gas, bond {bond} wei), {} ms after it was \
             seen on the hub: it is frozen and so is everything after it",
            receipt.transaction,
            step.gas_used,
            after.as_millis()
        ));
        Ok(())
    }

    /// The statements of the commitment that the hub has: as published if that is what was anchored,
    /// or from the transaction that anchored it.
    fn statements(&self, judged: &Judged, record: &Record) -> Result<Stated> {
        let on = &self.chain.outside.on;
        let number = judged.number;
        let published = judged.published.as_ref().filter(|p| p.commitment.hash() == record.hash);
        let theirs: Vec<abi::Statement> = match published {
            Some(published) => published.statements.iter().map(calls::statement).collect(),
            None => on.anchored(number)?.s,
        };
        let hash =
            |s: &abi::Statement| on.anchor(&IAnchor::statementHashCall { number, s: s.clone() });
        let hashes = theirs.iter().map(hash).collect::<Result<Vec<B256>>>()?;
        Ok((theirs, hashes))
    }
}
