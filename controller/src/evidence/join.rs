//! Which session a span or event belongs to, where it does not say so itself: any span's session holds for its whole trace,
//! and any response's session for what is said about that response.
//!
//! Children come before their parents and in other batches, so what has no session yet waits here, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::otlp::{Fact, Link};

/// Traces and responses that are remembered.
const MAX_LINKS: usize = 50_000;
/// Facts of one link that wait for its session.
const MAX_WAITING: usize = 64;
/// Facts that wait in all.
const MAX_ALL_WAITING: usize = 50_000;

/// Whose links: two agents never share one, so that no sender can name another's sessions.
type Owner = Arc<str>;

#[derive(Debug, Default)]
struct Known {
    session: Option<Arc<str>>,
    waiting: Vec<Fact>,
}

/// What belongs together.
#[derive(Debug, Default)]
pub struct Join {
    links: HashMap<(Owner, Link), Known>,
    order: VecDeque<(Owner, Link)>,
    waiting: usize,
}

impl Join {
    /// Takes the facts of one sender in and hands out those whose session is known by now, those of earlier batches included.
    pub fn resolve(&mut self, owner: &str, facts: Vec<Fact>) -> Vec<(Arc<str>, Fact)> {
        let owner: Owner = Arc::from(owner);
        let mut resolved = Vec::new();
        for fact in facts {
            let session = match &fact.session {
                Some(session) => Some(Arc::from(session.as_str())),
                None => fact.links.iter().find_map(|link| self.session_of(&owner, *link)),
            };
            match session {
                Some(session) => {
                    for link in &fact.links {
                        self.learn(&owner, *link, &session, &mut resolved);
                    }
                    resolved.push((session, fact));
                }
                None => self.wait(&owner, fact),
            }
        }
        resolved
    }

    fn session_of(&self, owner: &Owner, link: Link) -> Option<Arc<str>> {
        self.links.get(&(Arc::clone(owner), link))?.session.clone()
    }

    fn learn(&mut self, owner: &Owner, link: Link, session: &Arc<str>, resolved: &mut Vec<(Arc<str>, Fact)>) {
        let known = self.slot(owner, link);
        if known.session.is_none() {
            known.session = Some(Arc::clone(session));
            let woken = std::mem::take(&mut known.waiting);
            self.waiting -= woken.len();
            resolved.extend(woken.into_iter().map(|fact| (Arc::clone(session), fact)));
        }
    }

    fn wait(&mut self, owner: &Owner, fact: Fact) {
        let Some(link) = fact.links.first().copied() else {
            return;
        };
        if self.waiting >= MAX_ALL_WAITING {
            return;
        }
        let known = self.slot(owner, link);
        if known.waiting.len() < MAX_WAITING {
            known.waiting.push(fact);
            self.waiting += 1;
        }
    }

    fn slot(&mut self, owner: &Owner, link: Link) -> &mut Known {
        let key = (Arc::clone(owner), link);
        if !self.links.contains_key(&key) {
            self.order.push_back(key.clone());
            if self.order.len() > MAX_LINKS
                && let Some(forgotten) = self.order.pop_front().and_then(|oldest| self.links.remove(&oldest))
            {
                self.waiting -= forgotten.waiting.len();
            }
        }
        self.links.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use rollpin_engine::evidence::Kind;

    use super::*;

    fn fact(session: Option<&str>, trace: u128, at_millis: i64) -> Fact {
        Fact { session: session.map(str::to_owned), links: vec![Link::Trace(trace)], at_millis, kind: Some(Kind::End) }
    }

    fn times(resolved: &[(Arc<str>, Fact)]) -> Vec<(String, i64)> {
        resolved.iter().map(|(session, fact)| (session.to_string(), fact.at_millis)).collect()
    }

    #[test]
    fn children_that_come_before_their_parent_find_its_session() {
        let mut join = Join::default();
        assert!(join.resolve("ns/a", vec![fact(None, 1, 10), fact(None, 2, 11)]).is_empty());
        let found = join.resolve("ns/a", vec![fact(Some("s"), 1, 12)]);
        assert_eq!(times(&found), [("s".to_owned(), 10), ("s".to_owned(), 12)]);
        assert_eq!(times(&join.resolve("ns/a", vec![fact(None, 1, 13)])), [("s".to_owned(), 13)]);
    }

    #[test]
    fn another_agent_cannot_name_my_sessions() {
        let mut join = Join::default();
        join.resolve("ns/evil", vec![fact(Some("forged"), 1, 1)]);
        assert!(join.resolve("ns/a", vec![fact(None, 1, 2)]).is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut join = Join::default();
        for trace in 0..120_000_u128 {
            join.resolve("ns/a", vec![fact(None, trace, 1), fact(None, trace, 2)]);
        }
        assert!(join.links.len() <= MAX_LINKS + 1 && join.waiting <= MAX_ALL_WAITING);
        (0..200).for_each(|_| assert!(join.resolve("ns/a", vec![fact(None, 7, 1)]).is_empty()));
        assert!(join.links.values().all(|known| known.waiting.len() <= MAX_WAITING));
    }
}
