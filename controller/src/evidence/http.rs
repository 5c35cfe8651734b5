//! OTLP over HTTP: protobuf and JSON, plain and gzip, with bounds on both sides of the compression.
//!
//! Who speaks is settled before a byte of the body is read. Knows nothing of sessions.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::identity::{Authority, Refused};
use super::now_millis;
use super::receiver::Receiver;

/// The largest body, before and after decompression.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The routes of OTLP over HTTP.
pub fn router(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/logs", post(logs))
        .route("/v1/metrics", post(metrics))
        .with_state(receiver)
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("too many requests at once; send again later")]
    Overloaded,
    #[error("content type {0:?} is not OTLP; send application/x-protobuf or application/json")]
    ContentType(String),
    #[error("content encoding {0:?} is not understood; send gzip or none")]
    ContentEncoding(String),
    #[error("the body is larger than {MAX_BODY} bytes; send smaller batches")]
    TooLarge,
    #[error("the body took too long to arrive")]
    Slow,
    #[error("the body is not what its headers say")]
    Malformed,
}

impl Rejected {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(Refused::Stranger) => StatusCode::FORBIDDEN,
            Self::Refused(Refused::WrongToken) => StatusCode::UNAUTHORIZED,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::ContentType(_) | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    fn grpc_code(&self) -> i32 {
        match self {
            Self::Refused(Refused::Stranger) => 7,
            Self::Refused(Refused::WrongToken) => 16,
            Self::Overloaded => 14,
            Self::Slow => 4,
            Self::TooLarge => 8,
            Self::ContentType(_) | Self::ContentEncoding(_) | Self::Malformed => 3,
        }
    }

    fn answer(&self, encoding: Encoding) -> Response {
        let told = Told { code: self.grpc_code(), message: self.to_string() };
        let mut response = encoded(self.status(), encoding, &told);
        if matches!(self, Self::Overloaded) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// `google.rpc.Status`, the body that OTLP asks for beside an error.
#[derive(Clone, PartialEq, Message, Serialize)]
struct Told {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

async fn traces(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    take::<ExportTraceServiceRequest, _>(
        &receiver,
        peer,
        request,
        &ExportTraceServiceResponse::default(),
        Receiver::take_traces,
    )
    .await
}

async fn logs(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    take::<ExportLogsServiceRequest, _>(
        &receiver,
        peer,
        request,
        &ExportLogsServiceResponse::default(),
        Receiver::take_logs,
    )
    .await
}

/// Metrics are taken so that a harness need not be set up differently, and not looked at.
async fn metrics(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let encoding = encoding_of(request.headers()).unwrap_or(Encoding::Protobuf);
    match authorise(&receiver, peer, request.headers()) {
        Ok(_) => encoded(StatusCode::OK, encoding, &ExportMetricsServiceResponse::default()),
        Err(refused) => Rejected::from(refused).answer(encoding),
    }
}

async fn take<Q, A>(
    receiver: &Receiver,
    peer: SocketAddr,
    request: Request,
    answer: &A,
    deliver: fn(&Receiver, &Authority, &Q, i64),
) -> Response
where
    Q: Message + Default + DeserializeOwned,
    A: Message + Serialize,
{
    let encoding = encoding_of(request.headers());
    match read::<Q>(receiver, peer, request).await {
        Ok((authority, message)) => {
            deliver(receiver, &authority, &message, now_millis());
            encoded(StatusCode::OK, encoding.unwrap_or(Encoding::Protobuf), answer)
        }
        Err(rejected) => {
            if matches!(
                rejected,
                Rejected::Malformed | Rejected::TooLarge | Rejected::ContentType(_) | Rejected::ContentEncoding(_)
            ) {
                receiver.counters().malformed.up();
            }
            rejected.answer(encoding.unwrap_or(Encoding::Protobuf))
        }
    }
}

async fn read<Q: Message + Default + DeserializeOwned>(
    receiver: &Receiver,
    peer: SocketAddr,
    request: Request,
) -> Result<(Authority, Q), Rejected> {
    let authority = authorise(receiver, peer, request.headers())?;
    let Some(_slot) = receiver.admit() else {
        return Err(Rejected::Overloaded);
    };
    let encoding = encoding_of(request.headers())
        .ok_or_else(|| Rejected::ContentType(shown(request.headers(), &header::CONTENT_TYPE)))?;
    let gzip = match shown(request.headers(), &header::CONTENT_ENCODING).as_str() {
        "" | "identity" => false,
        "gzip" => true,
        other => return Err(Rejected::ContentEncoding(other.to_owned())),
    };
    let body = bytes(request.into_body()).await?;
    let body = if gzip { inflate(&body)? } else { body };
    let message = match encoding {
        Encoding::Protobuf => Q::decode(body.as_slice()).map_err(|_| Rejected::Malformed)?,
        Encoding::Json => serde_json::from_slice(&body).map_err(|_| Rejected::Malformed)?,
    };
    Ok((authority, message))
}

fn authorise(receiver: &Receiver, peer: SocketAddr, headers: &HeaderMap) -> Result<Authority, Refused> {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
    receiver.authorise(peer.ip(), shown)
}

fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    let content_type = shown(headers, &header::CONTENT_TYPE);
    match content_type.split(';').next().unwrap_or_default().trim() {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

fn shown(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body that trickles in gives up its place.
async fn bytes(body: Body) -> Result<Vec<u8>, Rejected> {
    let read = tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await.map_err(|_| Rejected::Slow)?;
    read.map(|bytes| bytes.to_vec()).map_err(|_| Rejected::TooLarge)
}

/// Inflates at most `MAX_BODY` bytes: a small body may say that it is a very large one.
fn inflate(body: &[u8]) -> Result<Vec<u8>, Rejected> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX) + 1;
    flate2::read::GzDecoder::new(body).take(limit).read_to_end(&mut inflated).map_err(|_| Rejected::Malformed)?;
    if inflated.len() > MAX_BODY { Err(Rejected::TooLarge) } else { Ok(inflated) }
}

fn encoded<A: Message + Serialize>(status: StatusCode, encoding: Encoding, answer: &A) -> Response {
    let (kind, body) = match encoding {
        Encoding::Protobuf => (PROTOBUF, answer.encode_to_vec()),
        Encoding::Json => (JSON, serde_json::to_vec(answer).unwrap_or_default()),
    };
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
