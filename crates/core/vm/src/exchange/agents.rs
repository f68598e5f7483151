//! Agent keys: approved, replaced, revoked.

use super::ExchangeVm;
use super::objects::{Agent, AgentList, SignerKey};
use atoll_exchange::Refusal;
use atoll_state::{Source, Table};
use atoll_types::{Address, RejectCode};

impl<S: Source> ExchangeVm<S> {
    /// Enters, replaces or (with a validity of 0) revokes an agent.
    pub(super) fn approve(&mut self, agent: Address, approval: Agent) -> Result<(), Refusal> {
        let refuse = |code, message| Err(Refusal { code, message, have_need: None });
        let list_key = SignerKey(approval.master);
        let mut list = self.agent_lists.get(&list_key).clone();
        let same_name = |agents: &mut Table<Agent, S>, list: &AgentList| {
            let named = |a: &Address| agents.get(&SignerKey(*a)).name == approval.name;
            list.0.iter().position(named)
        };
        if approval.valid_until_ms == 0 {
            let Some(place) = same_name(&mut self.agents, &list) else {
                let message = "there is no agent of this name to revoke";
                return refuse(RejectCode::UnknownAccount, message);
            };
            self.agents.remove(&SignerKey(list.0.remove(place)));
            self.agent_lists.set(&list_key, list);
            return Ok(());
        }
        if approval.valid_until_ms < self.now_ms() {
            let message = "the agent's validity ends in the past; 0 revokes it";
            return refuse(RejectCode::Expired, message);
        }
        if agent.is_zero() || self.exchange.account(&agent).is_some() {
            let message = "the agent's address is zero or has an account; use a fresh key";
            return refuse(RejectCode::NotAllowed, message);
        }
        let master = self.agents.get(&SignerKey(agent)).master;
        if !master.is_zero() && master != approval.master {
            let message = "the key is another account's agent; use a fresh key";
            return refuse(RejectCode::NotAllowed, message);
        }
        // The key may be there under another name, the name with another key.
        let mut kept = list.clone();
        if let Some(place) = same_name(&mut self.agents, &kept) {
            kept.0.remove(place);
        }
        kept.0.retain(|other| *other != agent);
        if kept.0.len() >= self.spec.agents_per_account_max as usize {
            let message = "the account has as many agents as it may; revoke one first";
            return refuse(RejectCode::NotAllowed, message);
        }
        kept.0.push(agent);
        for dropped in list.0.drain(..).filter(|old| !kept.0.contains(old)) {
            self.agents.remove(&SignerKey(dropped));
        }
        self.agent_lists.set(&list_key, kept);
        self.agents.set(&SignerKey(agent), approval);
        Ok(())
    }

    /// Revokes the approval of an address that can sign nothing.
    pub(super) fn disapprove(&mut self, agent: Address) {
        let Agent { master, .. } = self.agents.remove(&SignerKey(agent));
        self.agent_lists.get_mut(&SignerKey(master)).0.retain(|other| *other != agent);
    }
}
