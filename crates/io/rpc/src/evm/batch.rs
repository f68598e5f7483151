//! The JSON-RPC envelope: single requests, batches, notifications.

use super::error::{PARSE, REQUEST, RpcError};
use super::subscribe::Subscriptions;
use super::{Context, methods};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest id that is echoed.
const ID_BYTES_MAX: usize = 1024;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    /// Kept as text: a large number is echoed as it came. `null` is an id, absence is not.
    #[serde(borrow, default, deserialize_with = "some")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(default)]
    params: Option<Value>,
}

fn some<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Answers a body; none when it holds nothing but notifications.
pub(super) async fn answer(
    context: &Context,
    body: &[u8],
    mut subscriptions: Option<&mut Subscriptions>,
) -> Option<String> {
    let raw: &RawValue = match serde_json::from_slice(body) {
        Ok(raw) => raw,
        Err(error) => {
            return Some(render(
                "null",
                &Err(RpcError::new(PARSE, format!("parse error: {error}"))),
            ));
        }
    };
    if !raw.get().starts_with('[') {
        return one(context, raw.get(), &mut subscriptions).await;
    }
    let max = context.shared.limits().batch_max;
    let refused = |sentence: String| Some(render("null", &Err(RpcError::new(REQUEST, sentence))));
    let batch = match serde_json::from_str::<Bounded<'_>>(raw.get()) {
        Ok(Bounded(batch)) if batch.is_empty() => return refused("empty batch".to_owned()),
        Ok(Bounded(batch)) if batch.len() > max => {
            return refused(format!("batch too large: at most {max} requests in one"));
        }
        Ok(Bounded(batch)) => batch,
        Err(error) => return refused(format!("invalid request: {error}")),
    };
    let bytes_max = context.shared.limits().batch_answer_bytes_max;
    let mut text = String::from("[");
    for request in batch {
        let answer = if text.len() > bytes_max {
            let id = id_of(request.get());
            let sentence = format!("the batch's answer exceeds {bytes_max} bytes; ask in parts");
            id.map(|id| render(id, &Err(RpcError::limit(sentence))))
        } else {
            one(context, request.get(), &mut subscriptions).await
        };
        if let Some(answer) = answer {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&answer);
        }
    }
    text.push(']');
    (text.len() > 2).then_some(text)
}

/// The elements of a batch, and not many more of them than are allowed.
struct Bounded<'a>(Vec<&'a RawValue>);

/// More elements than this are read over without being kept.
const KEPT_MAX: usize = 10_000;

impl<'de> Deserialize<'de> for Bounded<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Bounded<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of requests")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut sequence: A,
            ) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some(element) = sequence.next_element::<&RawValue>()? {
                    if kept.len() < KEPT_MAX {
                        kept.push(element);
                    }
                }
                Ok(Bounded(kept))
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

async fn one(
    context: &Context,
    text: &str,
    subscriptions: &mut Option<&mut Subscriptions>,
) -> Option<String> {
    let invalid =
        |sentence: String| Err(RpcError::new(REQUEST, format!("invalid request: {sentence}")));
    let envelope: Envelope<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            // Well-formed JSON whose nesting is too deep, or that is no request.
            return Some(render(id_of(text).unwrap_or("null"), &invalid(error.to_string())));
        }
    };
    let id = envelope.id.map(RawValue::get);
    if id.is_some_and(|id| id.starts_with(['{', '[', 't', 'f']) || id.len() > ID_BYTES_MAX) {
        return Some(render("null", &invalid("id must be a short string or a number".to_owned())));
    }
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        let sentence = "jsonrpc must be \"2.0\"".to_owned();
        return Some(render(id.unwrap_or("null"), &invalid(sentence)));
    }
    // A notification asks for no answer, so there is nothing to do for it: every method answers.
    let id = id?;
    let Envelope { method, params, .. } = envelope;
    let answer = match (method.as_ref(), subscriptions.as_mut()) {
        ("eth_subscribe", Some(subscriptions)) => subscriptions.subscribe(params),
        ("eth_unsubscribe", Some(subscriptions)) => subscriptions.unsubscribe(params),
        (method, _) => methods::call(context, method, params).await,
    };
    Some(render(id, &answer))
}

/// The id of something that is not quite a request.
fn id_of(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let id = serde_json::from_str::<Id<'_>>(text).ok()?.id.get();
    (!id.starts_with(['{', '[', 't', 'f']) && id.len() <= ID_BYTES_MAX).then_some(id)
}

fn render(id: &str, answer: &Result<Value, RpcError>) -> String {
    match answer {
        Ok(result) => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"),
        Err(error) => {
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{}}}", error.to_json())
        }
    }
}
