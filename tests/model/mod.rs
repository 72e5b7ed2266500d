//! A model of two nodes with one task, checked exhaustively: every order of claims, checkpoints, verbs, heartbeats, expired
//! leases, crashes, freezes, wrong clocks and shutdowns, within the bounds of [`Budget`].
//!
//! The row of the task is changed by the program's own functions (`State::next` and the verbs of `Task`). The rest is what the
//! runner, the store and the datasets promise: a write of a run carries its epoch, a staging can only be written by the newest
//! epoch that opened it, and a node whose own count of its lease has run out writes no rows and does nothing that no epoch can fence.
//! The model assumes that a node does not freeze between this last look and the act.
//!
//! Each rule can be switched off ([`Rules`]). Then the model must find a counterexample: so it can fail.

mod actions;
mod properties;
mod row;
mod run;
mod world;

use stateright::{Checker, Model};

use properties::{ATTEMPTS, FENCE, LEASE, LEFT, QUIET, STILL, WHOLE};
use world::{Budget, Cluster, Rules, Work};

/// The rules of the program.
const RULES: Rules =
    Rules { epoch_fence: true, self_fence: true, database_clock: true, stops_first: true, leaves_last: true };

/// Explores every state. Returns the number of states and the names of the violated properties.
fn explore(cluster: Cluster) -> (usize, Vec<&'static str>) {
    let checker = cluster.checker().spawn_bfs().join();
    assert!(checker.is_done());
    let missing: Vec<_> = (checker.model().properties().into_iter())
        .filter(|property| !property.expectation.discovery_is_failure() && checker.discovery(property.name).is_none())
        .map(|property| property.name)
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    let failures = checker
        .discoveries()
        .into_iter()
        .filter(|(name, _)| checker.model().property(name).expectation.discovery_is_failure());
    (
        checker.unique_state_count(),
        failures
            .map(|(name, path)| {
                println!("{name}: {:?}", path.into_actions());
                name
            })
            .collect(),
    )
}

/// Searches for a violation of any property, and returns its name.
fn violated(rules: Rules, work: Work) -> Vec<&'static str> {
    let checker = Cluster { rules, work, budget: Budget::SMALL }.checker().spawn_bfs().join();
    let model = checker.model();
    let mut names: Vec<_> = checker.discoveries().into_keys().collect();
    names.retain(|name| model.property(name).expectation.discovery_is_failure());
    names
}

#[test]
fn two_nodes_keep_the_invariants_while_they_write_rows() {
    let (states, violations) = explore(Cluster { rules: RULES, work: Work::Rows, budget: Budget::FULL });
    println!("{states} states");
    assert!(violations.is_empty(), "{violations:?}");
    assert!(states > 10_000, "{states} states");
}

#[test]
fn two_nodes_keep_the_invariants_while_they_send() {
    let (states, violations) = explore(Cluster { rules: RULES, work: Work::Send, budget: Budget::FULL });
    println!("{states} states");
    assert!(violations.is_empty(), "{violations:?}");
    assert!(states > 10_000, "{states} states");
}

#[test]
fn without_a_rule_the_model_finds_a_violation() {
    let cases = [
        (Rules { epoch_fence: false, ..RULES }, Work::Rows, FENCE),
        (Rules { epoch_fence: false, self_fence: false, ..RULES }, Work::Rows, WHOLE),
        (Rules { self_fence: false, ..RULES }, Work::Send, LEASE),
        (Rules { self_fence: false, ..RULES }, Work::Rows, QUIET),
        (Rules { database_clock: false, ..RULES }, Work::Send, LEASE),
        (Rules { stops_first: false, ..RULES }, Work::Rows, STILL),
        (Rules { leaves_last: false, ..RULES }, Work::Rows, LEFT),
    ];
    for (rules, work, expected) in cases {
        let found = violated(rules, work);
        assert!(found.contains(&expected), "{rules:?}: found only {found:?}");
        assert!(!found.contains(&ATTEMPTS), "{rules:?}: {found:?}");
    }
}
