//! What a watch says in the end.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Report {
    /// Commitments that agree, and how many of these were derived.
    pub(super) agreed: u64,
    pub(super) derived: u64,
    /// Number of the last of them.
    pub(super) last: u64,
    pub(super) slots: u64,
    pub(super) last_slot: u64,
    pub(super) alarms: Vec<String>,
    pub(super) challenges: Vec<Value>,
}

impl Report {
    /// Counts a commitment that agrees, once.
    pub(super) fn agree(&mut self, number: u64, slots: (u64, u64), derived: bool) {
        if number <= self.last {
            return;
        }
        self.last = number;
        self.agreed += 1;
        self.derived += u64::from(derived);
        self.slots += slots.1 - slots.0 + 1;
        self.last_slot = slots.1;
    }

    pub(super) fn alarm(&mut self, what: String) {
        eprintln!("ALARM: {what}");
        self.alarms.push(what);
    }

    pub(super) fn finish(self, as_json: bool) -> Result<()> {
        let Self { agreed, derived, last: _, slots, last_slot, alarms, challenges } = self;
        if as_json {
            let value = json!({
                "commitments": agreed, "derived": derived, "slots": slots, "last_slot": last_slot,
                "alarms": alarms, "challenges": challenges, "agreed": alarms.is_empty(),
            });
            println!("{}", serde_json::to_string(&value)?);
        } else {
            println!("{agreed} commitments over {slots} slots agree, {} alarms", alarms.len());
        }
        ensure!(alarms.is_empty(), "{}", alarms.join("; "));
        Ok(())
    }
}
