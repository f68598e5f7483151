//! `atoll tour`: the whole way of money, for a newcomer: every step asserts balances on both sides
//! and explains itself in a sentence.

use super::session::{Environment, Session, Token};
use super::steps::Sent;
use crate::cli::TourArgs;
use anyhow::{Context, Result, bail, ensure};
use atoll_exchange::Tif;
use atoll_types::{Encode, U256};
use atoll_vm::exchange::build::{OrderWire, orders};
use atoll_vm::exchange::sign::sign_action;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a node of the tour's own may take to answer.
const BOOT: Duration = Duration::from_secs(30);

/// Says what happens, and keeps it for `--json`.
struct Guide {
    json: bool,
    step: usize,
    steps: Vec<Value>,
}

impl Guide {
    fn step(&mut self, title: &str, sentence: &str) {
        self.step += 1;
        if !self.json {
            println!("\n{}. {title}\n   {sentence}", self.step);
        }
        self.steps.push(json!({ "step": self.step, "title": title, "facts": {} }));
    }

    fn fact(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !self.json {
            println!("   {name:<22} {value}");
        }
        if let Some(step) = self.steps.last_mut() {
            step["facts"][name] = json!(value);
        }
    }

    fn sent(&mut self, name: &str, sent: &Sent) {
        self.fact(name, format!("{} ({} gas)", sent.hash, sent.gas_used));
    }
}

/// A node that the tour started, ended with it.
struct Own(Child, std::path::PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

fn answers(url: &str) -> bool {
    crate::gateway::Gateway::new(url).and_then(|gateway| gateway.get("/atoll/settlement")).is_ok()
}

/// Starts a node if none answers.
fn own_node(url: &str, quiet: bool) -> Result<Option<Own>> {
    if answers(url) {
        return Ok(None);
    }
    let listen = url.trim_start_matches("http://").trim_end_matches('/');
    if !quiet {
        println!("no node answers at {url}: starting one for the tour");
    }
    let folder = std::env::temp_dir().join(format!("atoll-tour-{}", std::process::id()));
    let child = Command::new(std::env::current_exe()?)
        .args(["dev", "--listen", listen, "--rate", "50", "--data-dir"])
        .arg(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a node")?;
    let mut own = Own(child, folder);
    let started = Instant::now();
    while !answers(url) {
        if let Some(status) = own.0.try_wait()? {
            bail!(
                "the node ended at once ({status}): run `atoll dev --listen {listen}` to see why"
            );
        }
        ensure!(started.elapsed() < BOOT, "the node does not answer at {url}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Some(own))
}

/// Runs the tour.
pub(crate) fn run(args: &TourArgs) -> Result<()> {
    let money = &args.money;
    let own = own_node(&money.url, money.json)?;
    let session = Session::open(&money.url, money.hub_rpc.as_deref(), &money.key)?;
    let mut guide = Guide { json: money.json, step: 0, steps: Vec::new() };
    let began = Instant::now();
    walk(&session, &mut guide)?;
    let seconds = began.elapsed().as_secs_f64();
    match money.json {
        true => {
            let value = json!({ "steps": guide.steps, "seconds": seconds, "complete": true });
            println!("{}", serde_json::to_string(&value)?);
        }
        false => {
            println!("\nThe tour is complete: {seconds:.0} s, every balance was as it should.")
        }
    }
    drop(own);
    Ok(())
}

/// The balances of a token on both sides.
struct Sides {
    hub: U256,
    escrow: U256,
    inside: U256,
}

fn sides(session: &Session, environment: &Environment, token: &Token) -> Result<Sides> {
    let owner = session.key.address();
    Ok(Sides {
        hub: session.hub_balance(token, owner)?,
        escrow: session.escrow(environment, token)?,
        inside: session.balance(environment, token, owner)?,
    })
}

fn walk(session: &Session, guide: &mut Guide) -> Result<()> {
    let me = session.key.address();
    let exchange = session.of_kind("exchange")?.clone();
    let evm = session.of_kind("evm")?.clone();
    let usdc = session.token(&exchange, "USDC")?;
    let eth = session.token(&evm, "ETH")?;

    guide.step(
        "A key with money on the hub",
        "The hub is an ordinary EVM chain; a faucet gives this key ETH for gas and test USDC.",
    );
    guide.fact("address", me);
    guide.fact("hub", format!("{} (chain {})", session.hub.url(), session.hub.chain_id()?));
    let (two, million) = (eth.amount("2")?, usdc.amount("1000")?);
    if let Some(sent) = session.fund(&eth, me, two + two)? {
        guide.sent("ETH from the faucet", &sent);
    }
    if let Some(sent) = session.fund(&usdc, me, million)? {
        guide.sent("USDC from the faucet", &sent);
    }

    deposit(session, guide, &exchange, &usdc, "1000")?;
    deposit(session, guide, &evm, &eth, "2")?;
    trade(session, guide, &exchange, &usdc)?;
    transfer(session, guide, &exchange, &evm, &usdc, "100")?;
    withdraw(session, guide, &exchange, &usdc, "250")?;
    withdraw(session, guide, &evm, &eth, "0.5")
}

fn deposit(
    session: &Session,
    guide: &mut Guide,
    environment: &Environment,
    token: &Token,
    text: &str,
) -> Result<()> {
    guide.step(
        &format!("Deposit {text} {} into {}", token.symbol, environment.name),
        "The bridge takes the money into the environment's escrow and puts an entry into the hub's \
         queue; the sequencer must take it in, in order.",
    );
    let amount = token.amount(text)?;
    let before = sides(session, environment, token)?;
    let deposited = session.deposit(environment, token, session.key.address(), amount)?;
    guide.sent("transaction", &deposited.sent);
    guide.fact("queue entry", format!("{} {}", deposited.index, deposited.entry));
    let receipt = session.receipt(deposited.entry)?;
    ensure!(receipt["receipt"]["code"].is_null(), "the deposit was refused: {receipt}");
    guide.fact("credited in slot", &receipt["slot"]);
    let after = sides(session, environment, token)?;
    ensure!(after.inside == before.inside + amount, "the environment credited another amount");
    ensure!(after.escrow == before.escrow + amount, "the escrow grew by another amount");
    guide.fact("balance inside", token.text(after.inside));
    guide.fact("escrow on the hub", token.text(after.escrow));
    Ok(())
}

fn trade(
    session: &Session,
    guide: &mut Guide,
    environment: &Environment,
    usdc: &Token,
) -> Result<()> {
    guide.step(
        "Trade",
        "A signed order, checked by the state transition itself; confirmed and executed in a tick.",
    );
    let before = session.balance(environment, usdc, session.key.address())?;
    let mids = session.gateway.post("/info", &json!({ "type": "allMids" }))?;
    let mid: f64 = mids["BTC"].as_str().and_then(|m| m.parse().ok()).unwrap_or(0.0);
    ensure!(mid > 0.0, "BTC has no price yet");
    let order = OrderWire {
        asset: 0,
        buy: true,
        price: format!("{}", (mid * 1.02).round()),
        size: "0.005".into(),
        reduce_only: false,
        tif: Tif::Ioc,
        client_id: None,
        ..Default::default()
    };
    let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let signed = sign_action(&session.key, orders(&[order]), nonce);
    let hash = session.submit(environment, &signed.to_bytes())?;
    guide.fact("transaction", hash);
    let user = session.key.address().to_string();
    let state =
        session.gateway.post("/info", &json!({ "type": "clearinghouseState", "user": user }))?;
    let position = &state["assetPositions"][0]["position"];
    guide.fact("position", format!("{} {}", position["szi"], position["coin"]));
    guide.fact("account value", &state["marginSummary"]["accountValue"]);
    let after = session.balance(environment, usdc, session.key.address())?;
    ensure!(after <= before, "a position cannot add to what may be withdrawn at once");
    guide.fact("withdrawable", usdc.text(after));
    Ok(())
}

fn transfer(
    session: &Session,
    guide: &mut Guide,
    from: &Environment,
    to: &Environment,
    usdc: &Token,
    text: &str,
) -> Result<()> {
    guide.step(
        &format!("Transfer {text} USDC from {} to {}", from.name, to.name),
        "No bridge in between: the router checks that the sender's ledger covers it and delivers it \
         two slots later; the hub moves the escrow when the slots are anchored.",
    );
    let there = session.token(to, &usdc.token.to_string())?;
    let (me, amount) = (session.key.address(), usdc.amount(text)?);
    let before = session.balance(to, &there, me)?;
    let hash = session.send(from, usdc, to.id, me, amount)?;
    guide.fact("transaction", hash);
    let after = super::session::wait("the transfer to arrive", || {
        let now = session.balance(to, &there, me)?;
        Ok((now > before).then_some(now))
    })?;
    ensure!(after == before + amount, "another amount arrived");
    guide.fact("balance there", there.text(after));
    Ok(())
}

fn withdraw(
    session: &Session,
    guide: &mut Guide,
    environment: &Environment,
    token: &Token,
    text: &str,
) -> Result<()> {
    guide.step(
        &format!("Withdraw {text} {} from {}", token.symbol, environment.name),
        "The money leaves the environment at once and becomes a leaf of the tree of withdrawals; its \
         root is in the next commitment.",
    );
    let (me, amount) = (session.key.address(), token.amount(text)?);
    let before = sides(session, environment, token)?;
    let first = session.withdrawals()?;
    let hash = session.send(environment, token, atoll_types::EnvironmentId(0), me, amount)?;
    guide.fact("transaction", hash);
    let inside = session.balance(environment, token, me)?;
    // What a position is worth moves meanwhile, by far less than this.
    let left = before.inside.saturating_sub(inside);
    ensure!(left >= amount - amount / U256::from(10), "the money is still inside");
    guide.fact("balance inside", token.text(inside));

    guide.step(
        "Wait for the anchor, prove, claim",
        "The commitment is posted to the hub and settles when nobody has challenged it in time; then \
         a Merkle proof is all that the bridge asks for.",
    );
    let say = |_: &str| {};
    let found = session.settled_withdrawal(environment, me, amount, Some(first), say)?;
    guide.fact("withdrawal", &found["index"]);
    guide.fact("settled by commitment", &found["commitment"]);
    guide.fact("root", found["root"].as_str().unwrap_or_default());
    let held = sides(session, environment, token)?;
    let claimed = session.claim(&found)?;
    guide.sent("claim", &claimed);
    let after = sides(session, environment, token)?;
    ensure!(after.escrow == held.escrow - amount, "the escrow paid another amount");
    if token.token.is_zero() {
        ensure!(after.hub + amount > held.hub && after.hub > held.hub, "the claim paid nothing");
    } else {
        ensure!(after.hub == held.hub + amount, "the claim paid another amount");
    }
    guide.fact("balance on the hub", token.text(after.hub));
    guide.fact("escrow on the hub", token.text(after.escrow));
    let again = session.claim(&found);
    let refused = again.err().context("the same withdrawal was paid twice")?;
    guide.fact("claimed again", format!("refused: {}", last_line(&format!("{refused:#}"))));
    Ok(())
}

/// The contract's own words in an error that has come a long way.
fn last_line(text: &str) -> String {
    let at = text.find("Bridge: ").or_else(|| text.rfind(": ").map(|at| at + 2));
    text[at.unwrap_or(0)..].to_string()
}
