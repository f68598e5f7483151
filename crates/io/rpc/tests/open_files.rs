//! The process runs out of open files: the gateway waits, makes room, and goes on. Alone in its
//! process, because the limit is the process's.

use rustix::process::{Resource, getrlimit, setrlimit};

#[path = "gateway/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "gateway/node.rs"]
#[allow(dead_code)]
mod node;

#[tokio::test]
async fn running_out_of_open_files_is_survived() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(160);
    setrlimit(Resource::Nofile, limit).expect("a lower limit is always allowed");
    let node = node::start(atoll_rpc::Limits::default()).await;
    // The clients live in this process too: together they take more files than there are.
    let mut flood = Vec::new();
    while let Ok(socket) = std::net::TcpStream::connect(node.address) {
        flood.push(socket);
        tokio::task::yield_now().await;
    }
    assert!(flood.len() > 50, "{}", flood.len());
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    // Room for this client's own end, and no more.
    flood.truncate(flood.len() - 2);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    assert_eq!(client::post(node.address, "/evm/evm", call).await.status, 200);
    drop(flood);
    assert_eq!(client::post(node.address, "/evm/evm", call).await.status, 200);
    assert!(node.metric("atoll_gateway_accept_errors_total").await >= 1.0);
}
