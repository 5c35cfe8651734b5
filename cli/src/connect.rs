//! The way to the API server, and its errors in words for people.
//!
//! Never prints a kubeconfig or a token. Retries nothing by itself: a repeated create would be two commands.

use std::time::Duration;

use futures::StreamExt;
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use rollpin_crds::AgentRelease;
use serde::de::DeserializeOwned;

use crate::args::Global;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;

/// The longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A cluster, and the namespace that is meant in it.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// Reads the kubeconfig and makes a client; nothing is sent yet.
pub async fn connect(global: &Global) -> Result<Cluster, Failure> {
    let mut config = config(global).await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|cause| Failure::Kubeconfig(cause_chain(&cause)))?;
    Ok(Cluster { client, namespace })
}

async fn config(global: &Global) -> Result<Config, Failure> {
    let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
    let unreadable = |cause: &dyn std::error::Error| Failure::Kubeconfig(cause_chain(cause));
    if let Some(path) = &global.kubeconfig {
        let file = Kubeconfig::read_from(path).map_err(|cause| unreadable(&cause))?;
        return Config::from_custom_kubeconfig(file, &options).await.map_err(|cause| unreadable(&cause));
    }
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        Err(cause) if global.context.is_some() => Err(unreadable(&cause)),
        Err(cause) => Config::incluster().map_err(|_| unreadable(&cause)),
    }
}

impl Cluster {
    /// The releases of the namespace.
    pub fn releases(&self) -> Api<AgentRelease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of any of our kinds in the namespace.
    pub fn objects<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One release.
    pub async fn release(&self, name: &str) -> Result<AgentRelease, Failure> {
        let action = format!("read agentrelease {name:?} in namespace {:?}", self.namespace);
        match answer(&action, self.releases().get_opt(name)).await? {
            Some(release) => Ok(release),
            None => Err(self.missing(name).await),
        }
    }

    /// Not found: the object, or the kind?
    async fn missing(&self, name: &str) -> Failure {
        let known = tokio::time::timeout(ANSWER, self.releases().list(&ListParams::default().limit(1))).await;
        if let Ok(Err(kube::Error::Api(status))) = known
            && status.code == 404
        {
            return Failure::NotInstalled("AgentRelease");
        }
        Failure::NotFound {
            kind: "agentrelease",
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            hint: "`rollpin list -A` shows what there is".to_owned(),
        }
    }

    /// Everything of a kind, in pages.
    pub async fn all<K>(&self, api: &Api<K>, action: &str, page: u32) -> Result<Vec<K>, Failure>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut found = vec![];
        let mut params = ListParams::default().limit(page);
        loop {
            let list = answer(action, api.list(&params)).await?;
            found.extend(list.items);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Who the API server thinks we are.
    pub async fn whoami(&self) -> Result<String, Failure> {
        use k8s_openapi::api::authentication::v1::SelfSubjectReview;
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review =
            answer("ask who you are", reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
        let user = review.status.and_then(|status| status.user_info).and_then(|info| info.username);
        user.filter(|user| !user.is_empty()).ok_or_else(|| Failure::Forbidden {
            action: "act without a name".to_owned(),
            message: "the API server does not say who you are, and a command is carried out in somebody's name"
                .to_owned(),
        })
    }
}

/// Waits for one answer, but not for ever.
pub async fn answer<T>(action: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER, request).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(cause)) => Err(explain(action, &cause)),
        Err(_) => Err(Failure::Unreachable {
            action: action.to_owned(),
            cause: format!("no answer within {} s", ANSWER.as_secs()),
        }),
    }
}

/// A kube error in words.
pub fn explain(action: &str, cause: &kube::Error) -> Failure {
    match cause {
        kube::Error::Api(status) => by_status(action, status),
        other => Failure::Unreachable { action: action.to_owned(), cause: cause_chain(other) },
    }
}

/// A Status object in words.
pub fn by_status(action: &str, status: &kube::core::Status) -> Failure {
    let message = status.message.clone();
    match status.code {
        401 => Failure::Unreachable {
            action: action.to_owned(),
            cause: format!("the API server does not accept the credentials ({message})"),
        },
        403 => Failure::Forbidden { action: action.to_owned(), message },
        404 => Failure::NotInstalled("the kinds of rollpin.dev/v1alpha1"),
        409 => Failure::Precondition(format!("somebody else moved first: {message}; look again and repeat")),
        429 | 500..=599 => Failure::Unreachable {
            action: action.to_owned(),
            cause: format!("the API server answers {}: {message}", status.code),
        },
        _ => Failure::Refused { action: action.to_owned(), message },
    }
}

/// An error with its causes, each once.
fn cause_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}

/// What to do after looking at an object.
pub enum Step<T> {
    /// It is as wanted.
    Done(T),
    /// Not yet; the text says what is being waited for.
    Wait(String),
}

/// Watches one object until `judge` is satisfied; nothing when the time is up first.
pub async fn until<K, T>(
    api: &Api<K>,
    name: &str,
    timeout: Option<Duration>,
    progress: &Progress,
    mut judge: impl FnMut(Option<&K>) -> Result<Step<T>, Failure>,
) -> Result<Option<T>, Failure>
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut changes = watcher::watch_object(api.clone(), name).default_backoff().boxed();
    let end = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let mut text = format!("reading {name}");
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(seen)) => match judge(seen.as_ref())? {
                    Step::Done(done) => return Ok(Some(done)),
                    Step::Wait(more) => text = more,
                },
                Some(Err(cause)) => watch_problem(&format!("watch {name:?}"), &cause)?,
                None => return Ok(None),
            },
            () = tokio::time::sleep(Duration::from_secs(1)) => progress.tell(&text),
            () = at(end) => return Ok(None),
        }
    }
}

async fn at(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// What will not pass by itself ends the wait; the rest is tried again by the watcher, and said.
pub fn watch_problem(action: &str, cause: &watcher::Error) -> Result<(), Failure> {
    let failure = match cause {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => explain(action, cause),
        watcher::Error::WatchError(status) => by_status(action, status),
        watcher::Error::NoResourceVersion => {
            Failure::Unreachable { action: action.to_owned(), cause: cause.to_string() }
        }
    };
    match failure {
        Failure::Forbidden { .. } | Failure::NotInstalled(_) | Failure::Refused { .. } => Err(failure),
        // An expired watch is ordinary: the watcher lists again.
        other if matches!(cause, watcher::Error::WatchError(status) if status.code == 410) => {
            drop(other);
            Ok(())
        }
        other => {
            output::remark(&format!("... {other}; trying again"));
            Ok(())
        }
    }
}
