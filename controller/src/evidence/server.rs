//! Listens, on threads of its own. When it is told to stop, or cannot listen, the hub is blind: nobody takes silence for health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::receiver::Receiver;
use super::{grpc, http, now_millis};

/// How often strata are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long connections may take to finish what they are sending; only the leader listens, so a stop is quick.
const LEAVE: Duration = Duration::from_secs(1);

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP over gRPC; by convention port 4317.
    pub grpc: SocketAddr,
    /// OTLP over HTTP; by convention port 4318.
    pub http: SocketAddr,
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error("cannot listen for OTLP on {address}; free the port or choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No thread could be made.
    #[error("cannot start the threads of the OTLP receiver")]
    Threads(#[source] std::io::Error),
}

/// A receiver that listens.
#[derive(Debug)]
#[cfg_attr(not(test), allow(dead_code))] // a replica that loses its lease ends its process; only tests stop and go on
pub struct Running {
    /// Where it really listens: port 0 was asked for in tests.
    pub addresses: Addresses,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Closes the ports and waits until the threads are gone, at most about a second. Blocks: call it outside of async code,
    /// or drop the value to close the ports without waiting.
    #[cfg_attr(not(test), allow(dead_code))] // see the type
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed where it happened; the ports are closed either way.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Listens on both addresses with two threads of its own; returns once both ports are open. The ports close when the
/// answer is stopped or dropped.
pub fn serve(receiver: Arc<Receiver>, wanted: Addresses) -> Result<Running, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("otlp")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let open = |address| listen(address).map_err(|source| ServeError::Listen { address, source });
    let (grpc, http) = (open(wanted.grpc)?, open(wanted.http)?);
    let addresses = Addresses { grpc: local(&grpc, wanted.grpc), http: local(&http, wanted.http) };
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new()
        .name("otlp-main".to_owned())
        .spawn(move || {
            runtime.block_on(run(receiver, grpc, http, stopped));
            runtime.shutdown_timeout(LEAVE);
        })
        .map_err(ServeError::Threads)?;
    Ok(Running { addresses, stop, thread: Some(thread) })
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn local(listener: &std::net::TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}

async fn run(
    receiver: Arc<Receiver>,
    grpc: std::net::TcpListener,
    http: std::net::TcpListener,
    stopped: watch::Receiver<bool>,
) {
    receiver.hub().set_blind(None, now_millis());
    let ended = tokio::select! {
        () = wait(stopped.clone()) => "the OTLP receiver was stopped".to_owned(),
        () = tick(&receiver) => "the OTLP receiver's clock stopped".to_owned(),
        error = run_http(Arc::clone(&receiver), http) => format!("OTLP over HTTP ended: {error}"),
        error = run_grpc(&receiver, grpc) => format!("OTLP over gRPC ended: {error}"),
    };
    receiver.hub().set_blind(Some(&ended), now_millis());
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn tick(receiver: &Receiver) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        receiver.hub().advance(now_millis());
    }
}

async fn run_http(receiver: Arc<Receiver>, listener: std::net::TcpListener) -> String {
    let served = async {
        let listener = TcpListener::from_std(listener)?;
        let app = http::router(receiver).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).await
    };
    served.await.map_or_else(|error| error.to_string(), |()| "it closed".to_owned())
}

async fn run_grpc(receiver: &Arc<Receiver>, listener: std::net::TcpListener) -> String {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error.to_string(),
    };
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let served = grpc::router(receiver).serve_with_incoming(incoming).await;
    served.map_or_else(|error| error.to_string(), |()| "it closed".to_owned())
}
