//! `/ws`: subscriptions, and requests with an id (`post`).

use super::{Topic, Venue, act, outcome};
use crate::server::Shared;
use crate::ws::{Close, Outbox};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

/// Requests of one socket that are answered at the same time; more wait.
const POSTS_MAX: usize = 256;

/// A request with an id. The payload stays as it was written: an action is signed in the order
/// of its keys.
#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    id: Value,
    #[serde(borrow)]
    request: PostRequest<'a>,
}

#[derive(Deserialize)]
struct PostRequest<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

type Topics = Arc<Mutex<BTreeSet<Topic>>>;

/// One socket.
pub(super) struct Session {
    shared: Arc<Shared>,
    venue: Arc<dyn Venue>,
    outbox: Outbox,
    topics: Topics,
    posts: Arc<Semaphore>,
    forward: Option<tokio::task::JoinHandle<()>>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, venue: Arc<dyn Venue>, outbox: Outbox) -> Self {
        Self {
            shared,
            venue,
            outbox,
            topics: Topics::default(),
            posts: Arc::new(Semaphore::new(POSTS_MAX)),
            forward: None,
        }
    }

    fn say(&self, channel: &str, data: &Value) {
        self.outbox.send(json!({ "channel": channel, "data": data }).to_string());
    }

    fn error(&self, sentence: &str) {
        self.say("error", &Value::from(sentence));
    }

    fn subscribe(&mut self, request: &Value) {
        let accepted = match self.venue.subscription(request) {
            Ok(accepted) => accepted,
            Err(error) => return self.error(&error.to_string()),
        };
        if self.topics.lock().len() >= self.shared.limits().ws_subscriptions_max {
            return self.error("too many subscriptions on this socket; open another one");
        }
        self.say(
            "subscriptionResponse",
            &json!({ "method": "subscribe", "subscription": request }),
        );
        // Events first: what happens while the snapshot is made is told after it.
        if self.forward.is_none() {
            let (events, topics) = (self.venue.events(), self.topics.clone());
            self.forward = Some(tokio::spawn(forward(events, topics, self.outbox.clone())));
        }
        if let Some(snapshot) = &accepted.snapshot {
            self.say(accepted.topic.channel(), snapshot);
        }
        self.topics.lock().insert(accepted.topic);
    }

    fn unsubscribe(&mut self, request: &Value) {
        match self.venue.subscription(request) {
            Ok(known) => {
                self.topics.lock().remove(&known.topic);
                self.say(
                    "subscriptionResponse",
                    &json!({ "method": "unsubscribe", "subscription": request }),
                );
            }
            Err(error) => self.error(&error.to_string()),
        }
    }

    /// Answers a request beside the others; the order of answers is that of completion.
    async fn post(&self, post: Post<'_>) {
        let Post { id, request: PostRequest { kind, payload }, .. } = post;
        let (kind, body) = (kind.into_owned(), payload.get().to_string());
        let Ok(permit) = self.posts.clone().acquire_owned().await else { return };
        let (shared, venue, outbox) =
            (self.shared.clone(), self.venue.clone(), self.outbox.clone());
        let work = async move {
            let payload = match kind.as_str() {
                "action" => outcome(&shared, act(&shared, &*venue, body.as_bytes()).await),
                "info" => {
                    let payload: Value = serde_json::from_str(&body).unwrap_or_default();
                    let name = payload["type"].clone();
                    match venue.info(payload).await {
                        Ok(data) => json!({ "type": name, "data": data }),
                        Err(error) => json!({ "type": "error", "payload": error.to_string() }),
                    }
                }
                _ => json!("expected a request of type info or action"),
            };
            let response = json!({ "type": kind, "payload": payload });
            let data = json!({ "id": id, "response": response });
            outbox.send(json!({ "channel": "post", "data": data }).to_string());
            drop(permit);
        };
        tokio::spawn(work);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(forward) = &self.forward {
            forward.abort();
        }
    }
}

impl crate::ws::Session for Session {
    async fn receive(&mut self, text: &str) -> Result<(), Close> {
        // Orders come this way: they are read once.
        let post = serde_json::from_str::<Post<'_>>(text);
        let unread = match post {
            Ok(post) if post.method == "post" => {
                self.post(post).await;
                return Ok(());
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        let message: Value = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                self.error(&format!("the message is not JSON: {error}"));
                return Ok(());
            }
        };
        match message["method"].as_str() {
            Some("ping") => {
                self.outbox.send(r#"{"channel":"pong"}"#);
            }
            Some("subscribe") => self.subscribe(&message["subscription"]),
            Some("unsubscribe") => self.unsubscribe(&message["subscription"]),
            Some("post") => self.error(&format!(
                "expected {{\"id\", \"request\": {{\"type\", \"payload\"}}}}: {}",
                unread.map_or(String::new(), |error| error.to_string())
            )),
            _ => self.error("expected a method: subscribe, unsubscribe, post or ping"),
        }
        Ok(())
    }
}

async fn forward(
    mut events: tokio::sync::broadcast::Receiver<Arc<super::VenueEvent>>,
    topics: Topics,
    outbox: Outbox,
) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if !topics.lock().contains(&event.topic) {
                    continue;
                }
                let message = json!({ "channel": event.topic.channel(), "data": event.data });
                if !outbox.send(message.to_string()) {
                    return;
                }
            }
            // The client would miss something: it is told so by the end of the session.
            Err(RecvError::Lagged(_)) => return outbox.slow(),
            Err(RecvError::Closed) => return,
        }
    }
}
