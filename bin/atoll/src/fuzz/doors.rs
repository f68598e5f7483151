//! Raw requests at the gateway of a running network.

use super::Target;
use crate::cli::{Cli, Command};
use crate::{dev, specs};
use clap::Parser;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn corpus() -> Vec<Vec<u8>> {
    let user = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let mut all = vec![
        request("/evm/evm", r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#),
        request(
            "/evm/evm",
            r#"[{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x0","topics":[null]}]},
                {"jsonrpc":"2.0","id":"a","method":"eth_feeHistory","params":["0x2","latest",[10.5]]}]"#,
        ),
        request(
            "/evm/evm",
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x0000000000000000000000000000000000000004","data":"0x1234","value":"0x1"},"latest"]}"#,
        ),
        request(
            "/exchange",
            r#"{"action":{"type":"order","orders":[{"a":0,"b":true,"p":"1","s":"1","r":false,"t":{"limit":{"tif":"Gtc"}}}],"grouping":"na"},"nonce":1,"signature":{"r":"0x1","s":"0x2","v":27}}"#,
        ),
        request("/atoll/transactions", r#"{"environment":"perps","bytes":"0x0102","wait":"execution"}"#),
        b"GET /atoll/slots/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /atoll/roots?environment=perps&limit=3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x80abcd".to_vec(),
    ];
    for call in [
        r#"["eth_call",[{"to":"0x0000000000000000000000000000000000000009","gas":"0x5208"},"latest",{"0x0000000000000000000000000000000000000009":{"code":"0x5f5ff3","nonce":"0x1","balance":"0x2","stateDiff":{"0x0":"0x1"}}},{"number":"0x7","baseFeePerGas":"0x1"}]]"#,
        r#"["eth_createAccessList",[{"to":"0xA701100000000000000000000000000000000001","data":"0x12345678"},"latest"]]"#,
        r#"["eth_simulateV1",[{"blockStateCalls":[{"calls":[{"to":null,"input":"0x5f5ff3"}],"blockOverrides":{"number":"0x99"}},{"stateOverrides":{}}],"traceTransfers":true,"validation":false},"latest"]]"#,
        r#"["debug_traceCall",[{"to":"0x0000000000000000000000000000000000000004","data":"0x00"},"latest",{"tracer":"callTracer","tracerConfig":{"withLog":true},"timeout":"10ms"}]]"#,
        r#"["debug_traceCall",[{"data":"0x5b5f56","gas":"0x20000"},"latest",{"enableMemory":true,"limit":7}]]"#,
        r#"["debug_traceBlockByNumber",["0x5",{"tracer":"prestateTracer","tracerConfig":{"diffMode":true}}]]"#,
        r#"["eth_newFilter",[{"fromBlock":"0x1","toBlock":"latest","address":["0x0000000000000000000000000000000000000009"],"topics":[[null]]}]]"#,
        r#"["eth_getFilterChanges",["0x1234"]]"#,
        r#"["txpool_contentFrom",["0x0000000000000000000000000000000000000009"]]"#,
        r#"["atoll_getProof",["0x0000000000000000000000000000000000000009",["0x0"],"latest"]]"#,
    ] {
        let (method, params) = call[1..call.len() - 1].split_once(',').expect("two parts");
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{params}}}"#);
        all.push(request("/evm/evm", &body));
    }
    for kind in ["meta", "userFills", "orderStatus", "clearinghouseState", "historicalOrders"] {
        all.push(request("/info", &format!(r#"{{"type":"{kind}","user":"{user}","oid":1}}"#)));
    }
    all
}

/// Sends bytes and gives what came back; an empty answer is a connection that was cut.
fn send(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the gateway accepts");
    // It may have answered and closed before it read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // Who waits for more than was sent is told that nothing comes.
    for patience in [Duration::from_millis(40), Duration::from_secs(5)] {
        stream.set_read_timeout(Some(patience)).expect("a timeout");
        let _ = stream.read_to_end(&mut answer);
        if !answer.is_empty() {
            break;
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    answer
}

/// A gateway that answers whatever comes, and counts no panic.
pub(super) fn target() -> Target {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let line = ["atoll", "dev", "--rate", "0", "--listen", "127.0.0.1:0"];
    let Command::Dev(args) = Cli::parse_from(line).command else { unreachable!("dev") };
    let specs = specs::load_all(None).unwrap();
    let network = runtime.block_on(dev::boot(&args, specs, "fuzz", folder.path())).unwrap();
    let address = network.address;
    let alive = (network, runtime, folder);
    Target::new("doors", corpus(), move |bytes| {
        let _alive = &alive;
        let answer = send(address, bytes);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "it answers in HTTP");
        let status = answer.get(9..12).unwrap_or_default();
        // A panic in a handler is answered with 500 and counted.
        assert_ne!(status, b"500", "{}", String::from_utf8_lossy(&answer));
        [&b"200"[..], b"101", b"400", b"404", b"422"].contains(&status)
    })
}
