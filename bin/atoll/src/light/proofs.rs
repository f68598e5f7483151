//! Objects of an environment's state, proven against what the hub has settled:
//!
//! value → state root → statement → root of statements → commitment → hub.

use super::anchor::Anchor;
use super::commitments;
use super::refusal::{Kind, Refusal, hex};
use super::sampling::insist;
use crate::gateway::Gateway;
use crate::hub::published::Published;
use anyhow::{Context, Result, bail};
use atoll_ethereum::abi::Status;
use atoll_executor::EnvironmentSpec;
use atoll_state::proof::VerifiedWitness;
use atoll_state::{Object, PathProof, db};
use atoll_types::{B256, Encode, EnvironmentId};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How often a set of objects is asked for again because another commitment was settled meanwhile.
const ATTEMPTS: u32 = 5;
/// Looks at the hub until what the gateway calls settled is so there, too, and the other way round.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(500);

/// Another commitment was settled between two questions: their answers do not belong together.
#[derive(Debug)]
struct Moved;

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("commitments are settled faster than their state can be asked for: try again")
    }
}

impl std::error::Error for Moved {}

/// A proven object, or that there is none.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Proven {
    pub(crate) fn render(&self) -> Value {
        json!({ "key": hex(&self.key), "value": self.value.as_deref().map(hex) })
    }
}

/// Proves objects of one environment at one settled commitment.
pub(crate) struct Prover<'a> {
    gateway: &'a Gateway,
    anchor: &'a Anchor,
    environment: EnvironmentId,
    /// The spec to read objects by; without one there are only bytes.
    spec: Option<&'a EnvironmentSpec>,
    settled: Option<Published>,
    pub(crate) proven: Vec<Proven>,
}

/// Where a set of proofs stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standpoint {
    pub(crate) commitment: u64,
    pub(crate) slots: (u64, u64),
    pub(crate) state_root: B256,
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::BadProof, why)
}

impl<'a> Prover<'a> {
    pub(crate) fn new(
        gateway: &'a Gateway,
        anchor: &'a Anchor,
        environment: EnvironmentId,
        spec: Option<&'a EnvironmentSpec>,
    ) -> Self {
        Self { gateway, anchor, environment, spec, settled: None, proven: Vec::new() }
    }

    /// Asks for objects until all of them are of one commitment.
    pub(crate) fn attempt<T>(&mut self, mut ask: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut attempts = 1;
        loop {
            self.settled = None;
            self.proven.clear();
            match ask(self) {
                Err(error) if error.is::<Moved>() && attempts < ATTEMPTS => attempts += 1,
                other => return other,
            }
        }
    }

    pub(crate) fn standpoint(&self) -> Option<Standpoint> {
        let settled = self.settled.as_ref()?;
        let statement = settled.statements.iter().find(|s| s.environment == self.environment)?;
        Some(Standpoint {
            commitment: settled.commitment.number,
            slots: settled.commitment.slots,
            state_root: statement.post_root,
        })
    }

    /// An object of a known type; none if it is proven that there is none.
    pub(crate) fn object<O: Object>(&mut self, key: &O::Key) -> Result<Option<O>> {
        let mut bytes = vec![O::TAG];
        key.encode(&mut bytes);
        let Some(value) = self.value(&bytes)? else { return Ok(None) };
        let object = O::from_bytes(&value);
        object.map(Some).with_context(|| {
            bad(format!("the {} at {} cannot be read by the spec given", O::NAME, hex(&bytes)))
        })
    }

    /// The value at an encoded key; none if it is proven that there is none.
    pub(crate) fn value(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (id, key_text) = (self.environment.0, hex(key));
        let answer = self.ask(&format!("/atoll/proof?environment={id}&key={key_text}"))?;
        let number = answer["commitment"].as_u64().context("a proof names its commitment")?;
        let bytes = |name: &str| -> Result<Option<Vec<u8>>> {
            let bytes = answer[name].as_str().map(alloy_primitives::hex::decode).transpose();
            bytes.ok().with_context(|| format!("the {name} of a proof is no hex"))
        };
        let value = bytes("value")?;
        let root = self.state_root(number)?;
        let path = db::key_path(key);
        let (holds, what) = match &value {
            Some(value) => {
                let siblings = answer["siblings"].as_array().map_or(&[][..], Vec::as_slice);
                let siblings: Option<Vec<B256>> =
                    siblings.iter().map(|sibling| sibling.as_str()?.parse().ok()).collect();
                let proof = PathProof(siblings.context("a sibling is a hash")?);
                (proof.verify(&root, &path, &db::value_hash(value)), hex(value))
            }
            None => {
                let proof = bytes("absence")?.unwrap_or_default();
                let verified = VerifiedWitness::verify(root.0, &proof, &[(path, None)]);
                (verified.is_ok(), "nothing".to_string())
            }
        };
        if !holds {
            let message = format!(
                "the state that commitment {number} settled for environment {id} is not proven to \
                 hold {what} at {key_text}"
            );
            return Err(bad(message).into());
        }
        self.proven.push(Proven { key: key.to_vec(), value: value.clone() });
        Ok(value)
    }

    /// The gateway's answer, which it has as soon as something is settled.
    fn ask(&self, path: &str) -> Result<Value> {
        for _ in 0..LOOKS {
            if let Some(answer) = self.gateway.find(path)? {
                return Ok(answer);
            }
            if self.anchor.standing()?.settled == 0 {
                bail!("nothing is settled yet: the first commitment is on its way to the hub");
            }
            // The gateway learns of what was settled a moment later.
            std::thread::sleep(LOOK);
        }
        let message = format!("{}{path}: the gateway gives no proof", self.gateway.url());
        Err(Refusal::new(Kind::Withheld, message).into())
    }

    /// The environment's state root in a commitment, if the hub has settled that.
    fn state_root(&mut self, number: u64) -> Result<B256> {
        if let Some(settled) = &self.settled
            && settled.commitment.number != number
        {
            return Err(Moved.into());
        }
        if self.settled.is_none() {
            self.settled = Some(self.settled(number)?);
        }
        let id = self.environment;
        let root = self.standpoint().map(|at| at.state_root);
        let root = root.with_context(|| format!("commitment {number} has no environment {id}"))?;
        let settled = self.settled.as_ref().map(|settled| settled.statements.as_slice());
        let statement = settled.unwrap_or_default().iter().find(|s| s.environment == id);
        if let (Some(spec), Some(statement)) = (self.spec, statement)
            && spec.hash() != statement.spec_hash
        {
            bail!(
                "the network runs environment {id} by spec {}, here it is {}: name the folder of \
                 the network's specs with --environments, or ask by --key",
                statement.spec_hash,
                spec.hash()
            );
        }
        Ok(root)
    }

    /// A commitment that the hub has settled, with everything that belongs to it.
    fn settled(&self, number: u64) -> Result<Published> {
        let withheld = || {
            let message = format!("the gateway does not give commitment {number}");
            Refusal::new(Kind::Withheld, message)
        };
        let published = insist(withheld, || commitments::get(self.gateway, number))?;
        commitments::holds_together(&published, number)?;
        let mut looks = 0;
        let record = loop {
            let (standing, record) = self.anchor.record(number)?;
            if standing.settled >= number {
                break record;
            }
            looks += 1;
            if looks == LOOKS {
                let message = format!(
                    "the gateway calls commitment {number} settled; at the hub {} is the last",
                    standing.settled
                );
                return Err(Refusal::new(Kind::NotAnchored, message).into());
            }
            std::thread::sleep(LOOK);
        };
        let hash = published.commitment.hash();
        if record.hash != hash || record.status != Status::Settled {
            let message = format!(
                "the gateway shows commitment {number} with hash {hash}, the hub has settled {}",
                record.hash
            );
            return Err(Refusal::new(Kind::NotAnchored, message).into());
        }
        Ok(published)
    }
}
