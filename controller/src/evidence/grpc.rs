//! OTLP over gRPC. The same receiver as over HTTP: who speaks is settled before the message is read.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::{Router, TcpConnectInfo};
use tonic::{Request, Response, Status};

use super::http::MAX_BODY;
use super::identity::{Authority, Refused};
use super::now_millis;
use super::receiver::Receiver;

/// Streams of one connection that are worked on at once.
const STREAMS: u32 = 16;

#[derive(Clone)]
struct Services(Arc<Receiver>);

/// The three services of OTLP.
pub fn router(receiver: &Arc<Receiver>) -> Router {
    let services = Services(Arc::clone(receiver));
    let check = |receiver: &Arc<Receiver>| {
        let receiver = Arc::clone(receiver);
        move |request: Request<()>| authorised(&receiver, request)
    };
    let traces = TraceServiceServer::new(services.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_BODY);
    let logs = LogsServiceServer::new(services.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_BODY);
    let metrics = MetricsServiceServer::new(services)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_BODY);
    tonic::transport::Server::builder()
        .max_concurrent_streams(Some(STREAMS))
        .add_service(InterceptedService::new(traces, check(receiver)))
        .add_service(InterceptedService::new(logs, check(receiver)))
        .add_service(InterceptedService::new(metrics, check(receiver)))
}

/// Notes who speaks, or ends the call.
#[allow(clippy::result_large_err)] // the signature of an interceptor
fn authorised(receiver: &Receiver, mut request: Request<()>) -> Result<Request<()>, Status> {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let Some(peer) = peer.as_ref().map(SocketAddr::ip) else {
        return Err(Status::permission_denied("the sender has no address"));
    };
    let shown = request.metadata().get("authorization").map(|value| value.to_str().unwrap_or("").to_owned());
    match receiver.authorise(peer, shown.as_deref()) {
        Ok(authority) => {
            request.extensions_mut().insert(authority);
            Ok(request)
        }
        Err(refused @ Refused::Stranger) => Err(Status::permission_denied(refused.to_string())),
        Err(refused @ Refused::WrongToken) => Err(Status::unauthenticated(refused.to_string())),
    }
}

impl Services {
    #[allow(clippy::result_large_err)] // tonic's own error
    fn take<Q>(&self, request: &Request<Q>, deliver: fn(&Receiver, &Authority, &Q, i64)) -> Result<(), Status> {
        let Some(authority) = request.extensions().get::<Authority>() else {
            return Err(Status::permission_denied("nobody speaks"));
        };
        let Some(_slot) = self.0.admit() else {
            return Err(Status::unavailable("too many requests at once; send again later"));
        };
        deliver(&self.0, authority, request.get_ref(), now_millis());
        Ok(())
    }
}

#[tonic::async_trait]
impl TraceService for Services {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(&request, Receiver::take_traces)?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Services {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take(&request, Receiver::take_logs)?;
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Services {
    async fn export(
        &self,
        _request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
