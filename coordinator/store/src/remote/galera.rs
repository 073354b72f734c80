//! What is checked at start if the server belongs to a Galera cluster.

use super::client::Client;
use super::safety::{self, Risk};
use super::tables::Identity;
use super::target::Target;
use super::{failed, queries};
use crate::{OpenError, Options};

/// All coordinators must write to one node of the cluster. Nodes detect conflicts only when they commit, so writers on two
/// nodes would undo each other's work all the time.
pub(super) async fn check_writers<C: Client>(
    options: &Options,
    target: &Target<C::Address>,
    identity: &Identity,
    client: &mut C,
) -> Result<(), OpenError> {
    if identity.node.is_empty() || options.allow.contains(&Risk::GaleraMultiWriter) {
        return Ok(());
    }
    let refused = |found: String| failed(options, &safety::refusal(Risk::GaleraMultiWriter, &found));
    // Refused even if all take the same node today: when that node fails for one of them alone, they write to two.
    if target.addresses.len() > 1 {
        let found =
            "the URL names several nodes of a Galera cluster, and each coordinator might take another";
        return Err(refused(format!("{found} (put one writer endpoint in front of them)")));
    }
    let others = queries::coordinators(client, identity).await.map_err(|e| failed(options, &e))?;
    // A coordinator that is gone writes to no node. The row of this name is skipped: an earlier process left it, and
    // the writer may have moved since.
    let elsewhere = others.iter().find(|other| {
        let node = other.store_node.as_deref().unwrap_or_default();
        other.alive && other.name != identity.name && !node.is_empty() && node != identity.node
    });
    elsewhere.map_or(Ok(()), |other| {
        let name = &other.name;
        Err(refused(format!(
            "the coordinator {name} writes to another node of the Galera cluster (if the writer has just moved, start \
             again in {} s)",
            options.lapse_after_ms.div_ceil(1_000)
        )))
    })
}
